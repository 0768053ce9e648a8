"""Solids that every beam enters once and leaves once.

The beam runs along y (front to back). A solid is a `Span`: for each beam the depth at which it
enters and leaves, equal where it misses. Line integrals, overlaps and voxels all follow from spans,
exactly and at any resolution.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """Entry and exit depths of one solid, arrays of the beams' shape."""

    near: np.ndarray
    far: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """Length of each beam inside, in the unit of the depths."""
        return self.far - self.near

    def holds(self, y: np.ndarray) -> np.ndarray:
        """Whether depth y lies inside."""
        return (self.near < y) & (y < self.far)


def ellipsoid(
    x: np.ndarray, z: np.ndarray, centre: Sequence[float], radii: Sequence[float], tilt: float = 0.0
) -> Span:
    """Ellipsoid with half axes `radii` (x, y, z), turned by `tilt` radians in the x-z plane
    (positive: its left end goes down).
    """
    cos, sin = np.cos(tilt), np.sin(tilt)
    dx, dz = x - centre[0], z - centre[2]
    inside = 1 - ((cos * dx - sin * dz) / radii[0]) ** 2 - ((sin * dx + cos * dz) / radii[2]) ** 2
    half = radii[1] * np.sqrt(np.maximum(inside, 0))
    return Span(centre[1] - half, centre[1] + half)


def column(
    x: np.ndarray,
    middle: Sequence[np.ndarray | float],
    half: Sequence[np.ndarray | float],
    power: float = 2.0,
) -> Span:
    """Upright column whose sections are superellipses |u|^p + |v|^p <= 1;
    `middle` and `half` are (x, y) and may change with height.
    """
    across = np.maximum(half[0], 1e-9)
    offset = np.minimum(np.abs(x - middle[0]) / across, 1.0)
    rest = 1 - offset**power
    depth = half[1] * (np.sqrt(rest) if power == 2 else rest ** (1 / power))
    return Span(middle[1] - depth, middle[1] + depth)


def keep(span: Span, where: np.ndarray) -> Span:
    """The span where the condition holds, empty elsewhere."""
    return Span(np.where(where, span.near, 0.0), np.where(where, span.far, 0.0))


def union_length(spans: Sequence[Span]) -> np.ndarray:
    """Length of each beam inside at least one of the solids, by a sweep in order of entry."""
    near, far = np.stack([s.near for s in spans]), np.stack([s.far for s in spans])
    for last in range(len(spans) - 1, 0, -1):
        for k in range(last):
            swap = near[k] > near[k + 1]
            if swap.any():
                near[k], near[k + 1] = (
                    np.minimum(near[k], near[k + 1]),
                    np.maximum(near[k], near[k + 1]),
                )
                far[k], far[k + 1] = (
                    np.where(swap, far[k + 1], far[k]),
                    np.where(swap, far[k], far[k + 1]),
                )
    total, end = np.zeros(near.shape[1:]), near[0]
    for n, f in zip(near, far, strict=True):
        total += np.maximum(f - np.maximum(n, end), 0)
        end = np.maximum(end, f)
    return total


def holds_any(spans: Sequence[Span], y: np.ndarray) -> np.ndarray:
    """Whether depth y lies inside at least one of the solids."""
    return np.logical_or.reduce([s.holds(y) for s in spans])
