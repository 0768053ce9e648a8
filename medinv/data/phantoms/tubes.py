"""Thin curved structures (ribs, clavicles, vessels, airways, a lead letter)
as tubes around sampled centre lines.

A tube of radius r around a curve is the curve convolved with the ball kernel 1 / (pi
sqrt(r^2 - q^2)), q < r: the kernel's integral along any line at distance d is 1 for d < r and 0
beyond. Integrated along the beam the kernel becomes a flat disc of height 1 (the same Abel pair),
so the X-ray shadow of a tube in any direction, foreshortening included, is its projected centre
line, weighted by arc length, convolved with a disc.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.special import j1

from medinv.data.phantoms import tissue
from medinv.data.phantoms.anatomy import DISC, HILUM, chest, lean, wall
from medinv.data.phantoms.record import Anatomy

_GENERATIONS = 6


class Tube(NamedTuple):
    """Centre-line samples (P, 3) in patient cm, their arc lengths (P,) in units of the radius,
    half axes of the section (x and y, z) in cm, and mu in 1/cm.
    """

    points: np.ndarray
    arcs: np.ndarray
    radii: tuple[float, float]
    mu: float


def stretch(anatomy: Anatomy) -> np.ndarray:
    """Factors (x, y, z) from the medium adult's frame to the patient's."""
    return anatomy.scale * np.array([anatomy.width, anatomy.depth, anatomy.height])


def _tube(curves: np.ndarray, radii: tuple[float, float], mu: float, anatomy: Anatomy) -> Tube:
    """A tube around curves (B, P, 3) in the medium adult's frame, sampled evenly enough."""
    rx, rz = (r * anatomy.scale for r in radii)
    curves = curves * stretch(anatomy)
    steps = np.empty_like(curves)
    steps[:, 1:-1] = (curves[:, 2:] - curves[:, :-2]) / 2
    steps[:, 0], steps[:, -1] = curves[:, 1] - curves[:, 0], curves[:, -1] - curves[:, -2]
    arcs = np.sqrt(((steps / (rx, rx, rz)) ** 2).sum(-1))
    return Tube(curves.reshape(-1, 3), arcs.ravel(), (rx, rz), mu)


def _bone(
    curves: np.ndarray, radii: tuple[float, float], shell: float, anatomy: Anatomy
) -> list[Tube]:
    """Cortical tube with a spongy core; `shell` is the thickness of the cortex, cm."""
    core = (radii[0] - shell, radii[1] - shell)
    return [
        _tube(curves, radii, tissue.CORTICAL_BONE - tissue.SOFT, anatomy),
        _tube(curves, core, tissue.SPONGY_BONE - tissue.CORTICAL_BONE, anatomy),
    ]


def _ribs(anatomy: Anatomy) -> np.ndarray:
    """Centre lines of the ribs (22, 360, 3), each from the spine round the flank to the front."""
    number, side = (np.repeat(np.arange(11), 2)[:, None], np.tile([-1, 1], 11)[:, None])
    last = np.where(number < 7, -60.0, -60.0 + 26.0 * (number - 6))
    turn = 81.0 + (last - 81.0) * np.linspace(0, 1, 360)
    angle, along = np.radians(turn), (81.0 - turn) / 141.0
    drop = anatomy.rib_slope * np.interp(number, [0, 1, 2, 4, 10], [3.4, 5.0, 6.4, 8.0, 9.0])
    z = (
        11.3
        - DISC * number
        + 0.9 * np.sin(np.pi * np.clip(along / 0.28, 0, 1))
        - drop * along**1.25
    )
    across, deep = wall(np.minimum(z, 11.0 - 0.4 * (number == 0)))
    x = side * (across + 0.45) * np.abs(np.cos(angle)) ** 0.87
    y = 0.4 + (1.08 * deep + 0.5) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.87
    return np.stack([x + lean(anatomy) * y, y, z], -1)


def _clavicles(anatomy: Anatomy) -> np.ndarray:
    t, side = np.linspace(0, 1, 300)[None], np.array([[-1.0], [1.0]])
    lift = anatomy.clavicle_lift + (1.5 if anatomy.arms_up else 0.0)
    y = -7.0 + 6.0 * t + 0 * side
    z = 9.3 + (1.6 + lift) * t + 0.45 * np.sin(2 * np.pi * t) + 0 * side
    return np.stack([side * (1.9 + 13.6 * t) + lean(anatomy) * y, y, z], -1)


def _processes(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Pedicles and spinous processes of sixteen vertebrae."""
    height, skew = DISC * (np.arange(-8, 8)[:, None] + 0.62), lean(anatomy)
    t = np.linspace(0, 1, 24)[None] + 0 * height
    back = 7.0 + 1.6 * t
    pedicles = np.concatenate(
        [np.stack([s * 1.15 + skew * back, back, height + 0 * t], -1) for s in (-1, 1)]
    )
    return pedicles, np.stack([skew * 9 + 0 * t, 8.6 + 1.4 * t, height - 0.8 - 1.3 * t], -1)


def _thin(y: np.ndarray) -> np.ndarray:
    """Relative density of a rib at depth y: front ends are flatter and mineralise less."""
    return np.interp(y, [-7.0, 1.0, 6.0], [0.45, 0.9, 1.1])


def skeleton(anatomy: Anatomy) -> list[Tube]:
    """Ribs (their front parts thinner), clavicles, pedicles and spinous processes."""
    pedicles, spines = _processes(anatomy)
    ribs = [
        t._replace(arcs=t.arcs * _thin(t.points[:, 1] / anatomy.scale))
        for t in _bone(_ribs(anatomy), (0.38, 0.64), 0.14, anatomy)
    ]
    return [
        *ribs,
        *_bone(_clavicles(anatomy), (0.55, 0.55), 0.14, anatomy),
        *_bone(pedicles, (0.34, 0.46), 0.055, anatomy),
        *_bone(spines, (0.22, 0.3), 0.08, anatomy),
    ]


def airways(anatomy: Anatomy) -> list[Tube]:
    """Trachea and main bronchi."""
    skew, t = lean(anatomy), np.linspace(0, 1, 200)
    trachea = np.stack([skew * 0.5 - 0.25 * t**2, 0.5 + 0 * t, 19 - 16.2 * t], 1)
    carina = trachea[-1]
    bronchi = [
        carina
        + t[:, None]
        * (np.array([s * (HILUM[0] - 0.3), HILUM[1], 1.2 + 0.5 * (s > 0)]) - carina - (0, 0, 1.0))
        for s in (-1, 1)
    ]
    mu = tissue.AIR - tissue.SOFT
    return [
        _tube(trachea[None], (0.82, 0.82), mu, anatomy),
        _tube(np.stack(bronchi), (0.5, 0.5), mu, anatomy),
    ]


def _branch(
    starts: np.ndarray, ways: np.ndarray, length: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Bent branches: sampled curves (B, P, 3) and their directions at the end (B, 3)."""
    bends = np.cross(ways, rng.normal(size=ways.shape)) * 0.35
    lengths = length * rng.uniform(0.75, 1.25, (len(ways), 1))
    t = np.linspace(0, 1, 24)[None, :, None]
    curves = starts[:, None] + lengths[:, None] * (t * ways[:, None] + t**2 * bends[:, None])
    ends = ways + 2 * bends
    return curves, ends / np.linalg.norm(ends, axis=1, keepdims=True)


def _fork(ways: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two daughter directions of every branch, in a random plane, (2B, 3)."""
    planes = np.cross(ways, rng.normal(size=ways.shape) + np.array([0, 1.5, 0]))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True) + 1e-9
    angles = np.radians(rng.uniform(18, 48, (2, len(ways), 1)))
    return np.concatenate(
        [
            ways * np.cos(angles[0]) + planes * np.sin(angles[0]),
            ways * np.cos(angles[1]) - planes * np.sin(angles[1]),
        ]
    )


def lung_vessels(anatomy: Anatomy, rng: np.random.Generator) -> list[Tube]:
    """Branching vessels from both hila, kept where they run in aerated lung;
    calibre falls by about 2^(-1/3) a fork (Murray's law).
    """
    fan = np.radians(
        np.concatenate([np.linspace(-84, 72, 9), np.linspace(-78, 60, 8)]) + rng.normal(0, 6, 17)
    )
    sides = np.repeat([-1.0, 1.0], [9, 8])
    ways = np.stack([sides * np.cos(fan), rng.normal(0.1, 0.45, 17), np.sin(fan)], 1)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    starts = np.stack(
        [
            sides * HILUM[0] + lean(anatomy),
            np.full(17, HILUM[1]),
            HILUM[2] + 0.5 * (sides > 0) + 1.2 * np.sin(fan),
        ],
        1,
    )
    tubes = []
    for generation in range(_GENERATIONS):
        curves, ends = _branch(starts, ways, 2.9 * 0.84**generation, rng)
        tubes.append(_in_lung(curves, 0.36 * 0.72**generation * anatomy.vessels, anatomy))
        starts, ways = np.tile(curves[:, -1], (2, 1)), _fork(ends, rng)
    return [t for t in tubes if len(t.points)]


def _in_lung(curves: np.ndarray, radius: float, anatomy: Anatomy) -> Tube:
    """A tube of the parts of the curves (B, 24, 3) that lie in aerated lung,
    judged every eighth sample.
    """
    middles = curves[:, 4::8]
    inside = chest(middles[..., 0], middles[..., 2], anatomy).in_lung(middles[..., 1])
    tube = _tube(
        curves, (radius, radius), tissue.BLOOD - tissue.LUNG * anatomy.lung_density, anatomy
    )
    kept = np.repeat(inside, 8, axis=1).ravel()
    return tube._replace(points=tube.points[kept], arcs=tube.arcs[kept])


_LETTERS = {
    "L": [((-0.5, 1.0), (-0.5, -1.0)), ((-0.5, -1.0), (0.6, -1.0))],
    "R": [
        ((-0.5, -1.0), (-0.5, 1.0)),
        ((-0.5, 1.0), (0.45, 0.9)),
        ((0.45, 0.9), (0.45, 0.1)),
        ((0.45, 0.1), (-0.5, 0.0)),
        ((-0.1, 0.0), (0.6, -1.0)),
    ],
}


def letter(name: str, centre: tuple[float, float], height: float) -> Tube:
    """A lead letter L or R at (x, z) in the image plane, cm."""
    t = np.linspace(0, 1, 60)[:, None]
    strokes = [np.array(a) * (1 - t) + np.array(b) * t for a, b in _LETTERS[name]]
    flat = [np.array(centre) + s * height / 2 for s in strokes]
    curves = [np.stack([s[:, 0], 0 * s[:, 0], s[:, 1]], 1) for s in flat]
    radius = 0.09 * height
    arcs = [np.linalg.norm(np.gradient(c, axis=0), axis=1) / radius for c in curves]
    return Tube(np.concatenate(curves), np.concatenate(arcs), (radius, radius), tissue.LEAD)


def shadow(
    tubes: Sequence[Tube],
    columns: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    size: int,
    pixel: float,
) -> np.ndarray:
    """Optical thickness of tubes, (size, size), from the pixel coordinates of their samples:
    sum over tubes of mu times chord length.

    Each centre line is spread on the grid and convolved with its disc in Fourier space,
    2 J1(q) / q with q = (kx rx, kz rz).
    """
    padded = fft.next_fast_len(size + size // 8, real=True)
    kz = 2 * np.pi * fft.fftfreq(padded, pixel)[:, None]
    kx = 2 * np.pi * fft.rfftfreq(padded, pixel)[None]
    total = np.zeros((padded, padded // 2 + 1), complex)
    for tube, column, row in zip(tubes, columns, rows, strict=True):
        q = np.maximum(np.hypot(kx * tube.radii[0], kz * tube.radii[1]), 1e-9)
        disc = 2 * np.pi * tube.radii[0] * tube.radii[1] * j1(q) / q
        line = spread(column, row, tube.arcs * tube.mu * tube.radii[0] / pixel**2, size, padded)
        total += fft.rfft2(line) * disc
    return fft.irfft2(total, (padded, padded))[:size, :size]


def spread(
    column: np.ndarray, row: np.ndarray, weight: np.ndarray, size: int, padded: int
) -> np.ndarray:
    """Point weights shared bilinearly among the four nearest pixels of a (padded, padded) grid;
    what falls outside the first `size` is dropped.
    """
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    inside = (left >= -1) & (left < size) & (top >= -1) & (top < size)
    left, top, weight = left[inside], top[inside], weight[inside]
    u, v = column[inside] - left, row[inside] - top
    wide = size + 2
    cell = (top + 1) * wide + left + 1
    cells = np.concatenate([cell, cell + 1, cell + wide, cell + wide + 1])
    shares = np.concatenate([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]) * np.tile(
        weight, 4
    )
    grid = np.zeros((padded, padded))
    grid[:size, :size] = np.bincount(cells, shares, wide * wide).reshape(wide, wide)[1:-1, 1:-1]
    return grid
