"""The same phantom as a short axial CT series, in Hounsfield units, with the truth in its frame.

Solids and opacities are sampled inside each voxel and averaged; tubes are spread as points of mass
by the ball kernel of `tubes`, so that a vessel thinner than a voxel keeps its attenuation. The
patient lies straight: roll and centring error belong to the radiograph. Noise is a smoothed
Gaussian field; there is no beam hardening and no reconstruction from projections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from medinv.data.phantoms import tissue
from medinv.data.phantoms.anatomy import APEX, organs, vertebrae
from medinv.data.phantoms.opacities import EDGE, REACH, density
from medinv.data.phantoms.radiograph import stream
from medinv.data.phantoms.record import Opacity, Phantom
from medinv.data.phantoms.solids import holds_any
from medinv.data.phantoms.tubes import Tube, airways, lung_vessels, skeleton, stretch

_FINE, _LEVELS = 2, 3
"""Samples of the solids along each side of a voxel and across a slice."""


@dataclass(frozen=True)
class Scanner:
    """How a body is scanned. Lengths are cm in the medium adult's frame."""

    field: float = 42.0
    """Side of the reconstructed square."""
    length: float = 23.0
    """What is scanned below the lungs' apex."""
    share: float = 1 / 3
    """Thickness of a slice, of the distance between slices: 1 leaves no gap."""
    noise: float = 14.0
    """Standard deviation, HU."""
    points: int = 160
    """Of mass at each step along a tube; voxels of nearly a centimetre need a few."""


@dataclass(frozen=True)
class Volume:
    """CT slices from feet to head: hu (S, n, n) int16, `clear`: hu of the same scan without
    opacities, mask of the opacities and lungs (S, n, n) bool, heights `positions` (S,) of the
    slices, x = y = `start` of the first pixel's centre, `pixel` and `thickness`: all in mm, DICOM
    patient coordinates.
    """

    hu: np.ndarray
    clear: np.ndarray
    mask: np.ndarray
    lungs: np.ndarray
    positions: np.ndarray
    start: float
    pixel: float
    thickness: float


def volume(
    phantom: Phantom, slices: int = 14, size: int = 128, scanner: Scanner = Scanner()
) -> Volume:
    """Scans a phantom: `slices` slices of `size` x `size` pixels, spaced evenly over the lungs."""
    sx, _, sz = stretch(phantom.anatomy)
    pixel, spacing = scanner.field * sx / size, scanner.length * sz / slices
    thickness = spacing * scanner.share
    heights = APEX * sz - scanner.length * sz + spacing * (np.arange(slices) + 0.5)
    line = (np.arange(size * _FINE) + 0.5 - size * _FINE / 2) * pixel / _FINE
    planes = np.empty((slices, 4, size, size))
    for i, z in enumerate(heights):
        levels = [
            _solids(phantom, line, z + thickness * ((k + 0.5) / _LEVELS - 0.5))
            for k in range(_LEVELS)
        ]
        planes[i] = np.mean(levels, axis=0).reshape(4, size, _FINE, size, _FINE).mean((2, 4))
    body, added, cover, lungs = np.moveaxis(planes, 1, 0)
    body = body + _mass(_sprinkle(phantom, scanner.points), heights, thickness, size, pixel)
    noise = stream(phantom, 4).standard_normal(body.shape)
    noise = scanner.noise * gaussian_filter(noise, (0, 0.6, 0.6)) / 0.47
    return Volume(
        _units(body + added, noise),
        _units(body, noise),
        cover >= 0.5,
        lungs >= 0.5,
        10 * heights,
        float(line[:_FINE].mean() * 10),
        10 * pixel,
        10 * thickness,
    )


def _units(mu: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """HU as a scanner stores them, of attenuation and of noise in HU."""
    hu = tissue.hounsfield(np.maximum(mu, 0)) + noise
    return np.clip(np.round(hu), -1024, 3071).astype(np.int16)


def _solids(phantom: Phantom, line: np.ndarray, height: float) -> np.ndarray:
    """Attenuation without tubes and opacities, what opacities add, the mask of these and that of
    the aerated lung, on a plane: (4, n, n), rows front to back, columns right to left. Painted in
    the order of the radiograph's sum.
    """
    sx, sy, sz = stretch(phantom.anatomy)
    y = line[:, None] / sy
    flat = np.full_like(line, height / sz)
    body = organs(line / sx, flat, phantom.anatomy)
    mu = np.where(holds_any(body.skin, y), tissue.SOFT, tissue.AIR)
    mu[body.skin[0].holds(y) & ~body.flesh.holds(y)] = tissue.FAT
    aerated = body.chest.in_lung(y)
    mu[aerated] = tissue.LUNG * phantom.anatomy.lung_density
    mu[holds_any(body.chest.heart, y)] = tissue.BLOOD
    mu[body.chest.domes[0].holds(y) & body.flesh.holds(y)] = tissue.LIVER
    mu += body.bodies.holds(y) * vertebrae(flat)
    mu[holds_any(body.heads, y)] = tissue.SPONGY_BONE
    mu[holds_any(body.blades, y)] = tissue.CORTICAL_BONE
    mu[body.gas.holds(y)] = tissue.AIR
    return np.stack([mu, *_added(phantom.opacities, line, height, aerated), aerated])


def _added(
    opacities: Sequence[Opacity], line: np.ndarray, height: float, aerated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What opacities add to a plane of which `aerated` is lung, and where they are seen."""
    mu, truth = np.zeros(aerated.shape), np.zeros(aerated.shape)
    for opacity in opacities:
        (x, y, z), (rx, ry, rz) = opacity.centre, opacity.radii
        columns, rows = np.abs(line - x) < REACH * rx, np.abs(line - y) < REACH * ry
        if not (columns.any() and rows.any() and abs(height - z) < REACH * rz):
            continue
        box = np.ix_(rows, columns)
        across, down = line[columns][None], line[rows][:, None]
        added = density(opacity, *np.broadcast_arrays(across, down, height)) * aerated[box]
        mu[box] += added
        seen = (added > EDGE * opacity.contrast) & (added > 0)
        truth[box] = np.maximum(truth[box], seen)
    return mu, truth


def _sprinkle(phantom: Phantom, most: int) -> np.ndarray:
    """All tubes as points of mass, at most so many at each step along one, (4, M): x, y, z in cm
    and mu times volume.
    """
    rng = stream(phantom, 1)
    tubes = [
        *skeleton(phantom.anatomy),
        *airways(phantom.anatomy),
        *lung_vessels(phantom.anatomy, rng),
    ]
    return np.concatenate([_points(t, stream(phantom, 5), most) for t in tubes], axis=1)


def _points(tube: Tube, rng: np.random.Generator, most: int) -> np.ndarray:
    """Points drawn from the ball kernel around a tube's centre line: radius r sin(t)
    with density sin(t)^2 of t, any direction.
    """
    angle = np.linspace(0, np.pi / 2, 512)
    share = (angle - np.sin(2 * angle) / 2) / (np.pi / 2)
    few = max(min(8, most), round(most * min(1.0, tube.radii[0] / 0.3)))
    distance = np.sin(np.interp(rng.random((len(tube.points), few)), share, angle))
    way = rng.standard_normal((len(tube.points), few, 3))
    way *= (distance / np.linalg.norm(way, axis=2))[..., None] * (
        tube.radii[0],
        tube.radii[0],
        tube.radii[1],
    )
    mass = tube.mu * np.pi * tube.radii[0] ** 2 * tube.radii[1] * tube.arcs / few
    return np.concatenate(
        [(tube.points[:, None] + way).reshape(-1, 3), np.repeat(mass, few)[:, None]], 1
    ).T


def _mass(
    points: np.ndarray, heights: np.ndarray, thickness: float, size: int, pixel: float
) -> np.ndarray:
    """Attenuation (S, n, n) that points of mass give the voxels of slices at even `heights`."""
    x, y, z, mass = points
    count, spacing = len(heights), (heights[-1] - heights[0]) / max(len(heights) - 1, 1) or 1.0
    slices = np.rint((z - heights[0]) / spacing).clip(0, count - 1).astype(int)
    columns, rows = (np.floor(p / pixel + size / 2).astype(int) for p in (x, y))
    inside = np.abs(z - heights[slices]) < thickness / 2
    for place in (columns, rows):
        inside &= (place >= 0) & (place < size)
    voxels = (slices[inside] * size + rows[inside]) * size + columns[inside]
    sums = np.bincount(voxels, mass[inside], count * size * size)
    return sums.reshape(count, size, size) / (pixel**2 * thickness)
