"""Planted opacities: their attenuation in space, on which both the radiograph and the CT draw.

An opacity adds to whatever fills the aerated lung, its vessels included:
a vessel inside a consolidation comes out denser than blood.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from medinv.data.phantoms.anatomy import Chest
from medinv.data.phantoms.record import Opacity

REACH = 1.6
"""An opacity ends at this multiple of its radii."""
EDGE = 0.3
"""The 2-D mask is where an opacity's line integral exceeds this share of its largest; the 3-D mask,
where its density does.
"""
_DEPTHS = 24


def density(opacity: Opacity, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Added attenuation, 1/cm, at patient coordinates in cm (arrays of one shape),
    as if all of it were lung.

    With q the distance from the centre in units of the radii: a nodule is a logistic edge at q = 1,
    lobulated by its roughness; a consolidation has a broad ragged edge, patches, and air-filled
    channels (the zero lines of a random field); ground-glass falls as a Gaussian.
    """
    u, v, w = (
        (p - c) / r for p, c, r in zip((x, y, z), opacity.centre, opacity.radii, strict=True)
    )
    q = np.sqrt(u * u + v * v + w * w)
    rough = opacity.roughness
    rng = np.random.default_rng(opacity.texture)
    coarse, fine = _field(rng, 6, u, v, w), _field(rng, 14, u, v, w)
    if opacity.kind == "nodule":
        shape = 1 / (1 + np.exp((q - 1 + 0.25 * rough * coarse) / 0.06))
    elif opacity.kind == "consolidation":
        shape = 1 / (1 + np.exp((q - 1 + 0.35 * rough * coarse) / 0.10))
        shape = (
            shape
            * np.clip(1 + 0.45 * rough * fine, 0, 1.6)
            * (1 - 0.8 * rough * np.exp(-((coarse / 0.12) ** 2)))
        )
    else:
        shape = np.exp(-1.4 * q * q) * np.clip(1 + 0.5 * rough * fine, 0, 1.8)
    return opacity.contrast * np.where(q < REACH, shape, 0.0)


def _field(
    rng: np.random.Generator, cells: int, u: np.ndarray, v: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """Smooth unit noise in a cube of half side REACH, linear between `cells`^3 random values."""
    lattice = rng.normal(size=(cells, cells, cells)) * 1.4
    where = [(p / REACH + 1) / 2 * (cells - 1) for p in (u, v, w)]
    return map_coordinates(lattice, where, order=1, mode="nearest")


def line_integral(
    opacity: Opacity, x: np.ndarray, z: np.ndarray, lung: Chest, depth: float
) -> np.ndarray:
    """Optical thickness that an opacity adds to each beam:
    its density integrated over the aerated lung on the beam (midpoint rule).

    x, z: patient coordinates of the beams, cm, (H, W); `lung`: the chest along the same beams;
    `depth`: cm a unit of depth in `lung`.
    """
    total = np.zeros(x.shape)
    near = (
        np.hypot(
            (x - opacity.centre[0]) / opacity.radii[0], (z - opacity.centre[2]) / opacity.radii[2]
        )
        < REACH
    )
    if not near.any():
        return total
    step = 2 * REACH * opacity.radii[1] / _DEPTHS
    y = opacity.centre[1] - REACH * opacity.radii[1] + step * (np.arange(_DEPTHS)[:, None] + 0.5)
    y = np.broadcast_to(y, (_DEPTHS, int(near.sum())))
    added = density(
        opacity, np.broadcast_to(x[near], y.shape), y, np.broadcast_to(z[near], y.shape)
    )
    total[near] = (added * lung.at(near).in_lung(y / depth)).sum(0) * step
    return total


def silhouette(thickness: np.ndarray) -> np.ndarray:
    """2-D mask of one opacity from its line integral."""
    return (
        (thickness > EDGE * thickness.max())
        if thickness.max() > 0
        else np.zeros(thickness.shape, bool)
    )
