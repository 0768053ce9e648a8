"""The same phantom as a short axial CT series, in Hounsfield units, with the truth in its frame.

Solids and opacities are sampled inside each voxel and averaged; tubes are spread as points of mass
by the ball kernel of `tubes`, so that a vessel thinner than a voxel keeps its attenuation. The
patient lies straight: roll and centring error belong to the radiograph. Noise is a smoothed
Gaussian field; there is no beam hardening and no reconstruction from projections.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from medinv.data.phantoms import tissue
from medinv.data.phantoms.anatomy import APEX, organs, vertebrae
from medinv.data.phantoms.opacities import EDGE, density
from medinv.data.phantoms.radiograph import stream
from medinv.data.phantoms.record import Phantom
from medinv.data.phantoms.solids import holds_any
from medinv.data.phantoms.tubes import Tube, airways, lung_vessels, skeleton, stretch

_FIELD, _LENGTH = 42.0, 23.0
"""Side of the reconstructed square and length scanned below the lungs' apex,
cm in the medium adult's frame.
"""
_FINE, _LEVELS = 2, 3
"""Samples of the solids along each side of a voxel and across a slice."""
_SPRINKLE = 160
_NOISE_HU = 14.0


@dataclass(frozen=True)
class Volume:
    """CT slices from feet to head: hu (S, n, n) int16, mask (S, n, n) bool, heights `positions`
    (S,) of the slices, x = y = `start` of the first pixel's centre, `pixel` and `thickness`: all in
    mm, DICOM patient coordinates.
    """

    hu: np.ndarray
    mask: np.ndarray
    positions: np.ndarray
    start: float
    pixel: float
    thickness: float


def volume(phantom: Phantom, slices: int = 14, size: int = 128) -> Volume:
    """Scans a phantom: `slices` slices spaced evenly over the lungs,
    each a third as thick as their spacing.
    """
    sx, _, sz = stretch(phantom.anatomy)
    pixel, spacing = _FIELD * sx / size, _LENGTH * sz / slices
    thickness = spacing / 3
    heights = APEX * sz - _LENGTH * sz + spacing * (np.arange(slices) + 0.5)
    line = (np.arange(size * _FINE) + 0.5 - size * _FINE / 2) * pixel / _FINE
    mu, mask = np.empty((slices, size, size)), np.empty((slices, size, size), bool)
    points = _sprinkle(phantom)
    for i, z in enumerate(heights):
        levels = [
            _solids(phantom, line, z + thickness * ((k + 0.5) / _LEVELS - 0.5))
            for k in range(_LEVELS)
        ]
        blocks = np.mean(levels, axis=0).reshape(2, size, _FINE, size, _FINE).mean((2, 4))
        mu[i], mask[i] = blocks[0] + _mass(points, z, thickness, size, pixel), blocks[1] >= 0.5
    hu = tissue.hounsfield(np.maximum(mu, 0))
    noise = stream(phantom, 4).standard_normal(hu.shape)
    hu += _NOISE_HU * gaussian_filter(noise, (0, 0.6, 0.6)) / 0.47
    hu = np.clip(np.round(hu), -1024, 3071).astype(np.int16)
    return Volume(
        hu, mask, 10 * heights, float(line[:_FINE].mean() * 10), 10 * pixel, 10 * thickness
    )


def _solids(phantom: Phantom, line: np.ndarray, height: float) -> np.ndarray:
    """Attenuation without tubes, and the opacities' mask, on a plane: (2, n, n), rows front to
    back, columns right to left. Painted in the order of the radiograph's sum.
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
    truth = np.zeros(mu.shape)
    for opacity in phantom.opacities:
        added = density(opacity, *np.broadcast_arrays(line[None], line[:, None], height)) * aerated
        mu += added
        truth = np.maximum(truth, (added > EDGE * opacity.contrast) & (added > 0))
    return np.stack([mu, truth])


def _sprinkle(phantom: Phantom) -> np.ndarray:
    """All tubes as points of mass, (4, M): x, y, z in cm and mu times volume."""
    rng = stream(phantom, 1)
    tubes = [
        *skeleton(phantom.anatomy),
        *airways(phantom.anatomy),
        *lung_vessels(phantom.anatomy, rng),
    ]
    return np.concatenate([_points(t, stream(phantom, 5)) for t in tubes], axis=1)


def _points(tube: Tube, rng: np.random.Generator) -> np.ndarray:
    """Points drawn from the ball kernel around a tube's centre line: radius r sin(t)
    with density sin(t)^2 of t, any direction.
    """
    angle = np.linspace(0, np.pi / 2, 512)
    share = (angle - np.sin(2 * angle) / 2) / (np.pi / 2)
    few = max(8, round(_SPRINKLE * min(1.0, tube.radii[0] / 0.3)))
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
    points: np.ndarray, height: float, thickness: float, size: int, pixel: float
) -> np.ndarray:
    """Attenuation that the points of mass in one slice give its voxels."""
    x, y, _, mass = points[:, np.abs(points[2] - height) < thickness / 2]
    edges = (np.arange(size + 1) - size / 2) * pixel
    return np.histogram2d(y, x, bins=(edges, edges), weights=mass)[0] / (pixel**2 * thickness)
