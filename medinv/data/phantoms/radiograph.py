"""From a phantom to a chest radiograph as stored and as displayed.

Primary beam: I = I0 exp(-integral of mu along a parallel beam) (Beer-Lambert). Scatter: a smooth
veil that makes up a given share of the detected signal. Noise: normal approximation of Poisson
counting, hundreds of photons a pixel and more. Detector: 12 bits linear in -log(I / I0), as a
digital radiograph "for presentation" stores it. Display: DICOM's linear window
(PS3.3 C.11.2.1.2.1), set from the same body without opacities, so that a phantom and its clear twin
differ by the opacity alone.

Left out: divergence of the beam, beam hardening, detector glare, anti-scatter grid lines,
vendor edge enhancement.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from medinv.data.phantoms import tissue
from medinv.data.phantoms.anatomy import Organs, organs, vertebrae
from medinv.data.phantoms.opacities import line_integral, silhouette
from medinv.data.phantoms.record import Anatomy, Phantom
from medinv.data.phantoms.solids import union_length
from medinv.data.phantoms.tubes import (
    Tube,
    airways,
    letter,
    lung_vessels,
    shadow,
    skeleton,
    stretch,
)

MAX_STORED = 4095
STORED_PER_LOG, STORED_OFFSET = 500.0, 150.0
"""Stored value = STORED_OFFSET + STORED_PER_LOG * -log(I / I0), clipped to 12 bits."""
_SCATTER_GRID, _SCATTER_REACH = 32, 4.0
_MODES = 96


@dataclass(frozen=True)
class Radiograph:
    """One exposure: stored (n, n) uint16 of 12 bits, window (centre, width), pixel spacing in mm,
    mask (n, n) bool, `opacity`: the optical thickness that the opacities add, (n, n), and `clear`:
    the stored image of the clear twin (same body, same noise).
    """

    stored: np.ndarray
    clear: np.ndarray
    window: tuple[int, int]
    spacing: float
    mask: np.ndarray
    opacity: np.ndarray

    def display(self) -> np.ndarray:
        """(n, n) uint8 as a radiologist sees it."""
        return display(self.stored, self.window)


@dataclass(frozen=True)
class _View:
    """Where each beam of a square image passes through the patient."""

    anatomy: Anatomy
    size: int

    @property
    def pixel(self) -> float:
        """Side of a pixel, cm."""
        return self.anatomy.field * self.anatomy.scale / self.size

    def beams(self) -> tuple[np.ndarray, np.ndarray]:
        """Patient x and z of every pixel's centre, cm, (size, size); row 0 is the head,
        column 0 the patient's right.
        """
        line = (np.arange(self.size) + 0.5 - self.size / 2) * self.pixel
        u, w = line[None, :] - self.anatomy.shift_x, -line[:, None] - self.anatomy.shift_z
        cos, sin = self._turn()
        return cos * u + sin * w, cos * w - sin * u

    def pixels(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row (fractional, centres at whole numbers) of patient coordinates."""
        cos, sin = self._turn()
        u, w = cos * x - sin * z + self.anatomy.shift_x, sin * x + cos * z + self.anatomy.shift_z
        return u / self.pixel + (self.size - 1) / 2, -w / self.pixel + (self.size - 1) / 2

    def _turn(self) -> tuple[float, float]:
        angle = np.radians(self.anatomy.roll)
        return float(np.cos(angle)), float(np.sin(angle))


def stream(phantom: Phantom, purpose: int) -> np.random.Generator:
    """Random numbers that depend on the phantom's seed, its index and the purpose alone."""
    return np.random.default_rng(
        np.random.SeedSequence(phantom.seed, spawn_key=(phantom.index, purpose))
    )


def radiograph(phantom: Phantom, size: int) -> Radiograph:
    """Exposes a phantom on a square detector of `size` pixels a side."""
    view = _View(phantom.anatomy, size)
    x, z = view.beams()
    sx, sy, sz = stretch(phantom.anatomy)
    body = organs(x / sx, z / sz, phantom.anatomy)
    lung = body.chest.lung_length()
    base = _solid_thickness(body, lung, z / sz, phantom) * sy
    base += _texture(view, lung * sy, body.flesh.length * sy, phantom)
    base += _tube_thickness(view, phantom)
    parts = [line_integral(o, x, z, body.chest, sy) for o in phantom.opacities]
    opacity = np.sum(parts, axis=0) if parts else np.zeros(x.shape)
    mask = (
        np.logical_or.reduce([silhouette(p) for p in parts]) if parts else np.zeros(x.shape, bool)
    )
    aerated = lung * sy > 2.5 * phantom.anatomy.scale
    expose = _detector(base, view, aerated, phantom)
    clear = expose(base)
    full = expose(base + opacity) if parts else clear
    window = _window(clear, aerated, np.abs(x / sx) < 2.2, phantom)
    return Radiograph(_digitise(full), _digitise(clear), window, 10 * view.pixel, mask, opacity)


def _solid_thickness(body: Organs, lung: np.ndarray, z: np.ndarray, phantom: Phantom) -> np.ndarray:
    """Sum of mu times length over the solids, per unit of depth of the medium adult's frame."""
    fat = np.maximum(body.skin[0].length - body.flesh.length, 0)
    total = tissue.SOFT * union_length(body.skin) + (tissue.FAT - tissue.SOFT) * fat
    total += (tissue.LUNG * phantom.anatomy.lung_density - tissue.SOFT) * lung
    total += (tissue.BLOOD - tissue.SOFT) * union_length(body.chest.heart)
    total += (tissue.LIVER - tissue.SOFT) * body.chest.domes[0].length
    total += vertebrae(z) * body.bodies.length
    total += (tissue.AIR - tissue.SOFT) * body.gas.length
    total += (tissue.SPONGY_BONE - tissue.SOFT) * (body.heads[0].length + body.heads[1].length)
    return total + (tissue.CORTICAL_BONE - tissue.SOFT) * (
        body.blades[0].length + body.blades[1].length
    )


def _tube_thickness(view: _View, phantom: Phantom) -> np.ndarray:
    anatomy = phantom.anatomy
    tubes = [*skeleton(anatomy), *airways(anatomy), *lung_vessels(anatomy, stream(phantom, 1))]
    places = [view.pixels(t.points[:, 0], t.points[:, 2]) for t in tubes]
    if phantom.exposure.marker != "none":
        tube, place = _marker(view, phantom)
        tubes, places = [*tubes, tube], [*places, place]
    return shadow(tubes, [p[0] for p in places], [p[1] for p in places], view.size, view.pixel)


def _marker(view: _View, phantom: Phantom) -> tuple[Tube, tuple[np.ndarray, np.ndarray]]:
    """The lead letter; it lies on the detector, so it neither turns nor shifts with the patient."""
    side = 1 if phantom.exposure.marker == "left" else -1
    reach = view.pixel * view.size / 2
    tube = letter("L" if side > 0 else "R", (side * 0.86 * reach, 0.86 * reach), 0.11 * reach)
    middle = (view.size - 1) / 2
    return tube, (tube.points[:, 0] / view.pixel + middle, middle - tube.points[:, 2] / view.pixel)


def _texture(view: _View, lung: np.ndarray, flesh: np.ndarray, phantom: Phantom) -> np.ndarray:
    """Interstitial texture of the lungs and unevenness of the soft tissue:
    random fields of power-law spectrum times the lengths crossed.
    """
    rng = stream(phantom, 2)
    fine, broad = _random_field(rng, view.size, 1.25), _random_field(rng, view.size, 2.0)
    return tissue.LUNG * 0.10 * lung * fine + tissue.SOFT * 0.008 * flesh * broad


def _random_field(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """Unit random field (size, size) with amplitude f^-slope up to 48 cycles an image:
    the same field at every size.
    """
    k = np.arange(-_MODES // 2, _MODES // 2)
    f = np.hypot(k[:, None], k[None])
    amplitude = np.where(f > 0, np.maximum(f, 1) ** -slope, 0)
    amplitude /= np.sqrt((amplitude**2).sum())
    modes = amplitude * np.exp(2j * np.pi * rng.random(f.shape))
    wave = np.exp(2j * np.pi * k[None] * (np.arange(size)[:, None] + 0.5) / size)
    return np.sqrt(2) * (wave @ modes @ wave.T).real


def _detector(
    base: np.ndarray, view: _View, aerated: np.ndarray, phantom: Phantom
) -> Callable[[np.ndarray], np.ndarray]:
    """The exposure set for a clear body: a function from optical thickness to -log(I / I0),
    noise included, black outside the collimated field.

    Scatter, dose and noise are those of the clear body,
    so that an opacity changes its own beams and no other.
    """
    e = phantom.exposure
    primary = np.exp(-np.maximum(base, 0))
    veil = e.scatter / (1 - e.scatter) * _veil(primary * (1 - primary), view)
    behind_lung = np.median((primary + veil)[aerated] if aerated.any() else primary + veil)
    counts = e.photons * (10 * view.pixel) ** 2 / behind_lung
    noise = stream(phantom, 3).standard_normal(base.shape)
    sigma = e.blur / (10 * view.pixel)

    def expose(thickness: np.ndarray) -> np.ndarray:
        signal = np.exp(-np.maximum(thickness, 0)) + veil
        if sigma > 0.1:
            signal = gaussian_filter(signal, sigma, mode="nearest")
        log = -np.log(np.maximum(signal + np.sqrt(signal / counts) * noise, 1 / counts))
        if e.border > 0:
            log[_outside(view, e.border)] = -1.0
        return log

    return expose


def _outside(view: _View, border: float) -> np.ndarray:
    edge = (
        np.minimum(np.arange(view.size), np.arange(view.size)[::-1]) + 0.5
    ) * view.pixel < border
    return edge[:, None] | edge[None]


def _veil(source: np.ndarray, view: _View) -> np.ndarray:
    """Scatter made in the body, spread over some centimetres."""
    coarse = area_resize(source, _SCATTER_GRID)
    reach = _SCATTER_REACH * _SCATTER_GRID / (view.pixel * view.size)
    smooth = gaussian_filter(coarse, reach, mode="nearest")
    return zoom(smooth, view.size / _SCATTER_GRID, order=1, mode="nearest", grid_mode=True)


def _digitise(log: np.ndarray) -> np.ndarray:
    return np.clip(np.round(STORED_OFFSET + STORED_PER_LOG * log), 0, MAX_STORED).astype(np.uint16)


def _window(
    clear: np.ndarray, aerated: np.ndarray, midline: np.ndarray, phantom: Phantom
) -> tuple[int, int]:
    """Window (centre, width) that shows clear lung and mediastinum at the grey levels asked for."""
    stored = STORED_OFFSET + STORED_PER_LOG * clear
    low = np.percentile(stored[aerated], 10) if aerated.any() else stored.min()
    high = np.percentile(stored[midline], 80)
    e = phantom.exposure
    slope = max(high - low, 50.0) / (e.high_grey - e.low_grey)
    return round(low + (127.5 - e.low_grey) * slope + 0.5), max(round(255 * slope + 1), 2)


def display(stored: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Grey levels 0..255 of stored values through DICOM's linear window:
    255 ((v - (c - 0.5)) / (w - 1) + 0.5), rounded and clipped.
    """
    centre, width = window
    grey = ((stored.astype(float) - (centre - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def area_resize(image: np.ndarray, size: int) -> np.ndarray:
    """Mean of (n, n) over the area of each of (size, size) pixels, float."""
    n = image.shape[0]
    if (
        n % size == 0
    ):  # sums of whole numbers stay exact, so that rounding the mean is the same on every machine
        return image.reshape(size, n // size, size, n // size).mean((1, 3))
    share = _shares(n, size)
    return share @ image @ share.T


def _shares(n: int, size: int) -> np.ndarray:
    """(size, n) matrix of the overlap of new pixels with old ones, rows summing to 1."""
    old, new = np.arange(n + 1) / n, np.arange(size + 1) / size
    overlap = np.minimum(new[1:, None], old[None, 1:]) - np.maximum(new[:-1, None], old[None, :-1])
    return np.maximum(overlap, 0) * size
