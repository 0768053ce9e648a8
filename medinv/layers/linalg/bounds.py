"""Singular values that hold for every image size.

The symbol of a kernel with m_j taps on either side is a trigonometric polynomial in theta_j = 2 pi
f_j / n_j of degree m_j, whatever the image size n: each size samples the same polynomial. For unit
vectors u, v let p = Re u^H S v or p = |S v|^2; the inequality of Bernstein and Szego, p'^2 + n^2
p^2 <= n^2 max|p|^2 for degree n, says that the angle arccos(p / max|p|) changes by at most n a
radian. Hence, around a sample theta_0,

    sup sigma_max <= max over a grid of N_j points a side / prod_j cos(m_j pi / N_j),
    sigma_min(theta) >= M sin(arcsin(sigma_min(theta_0) / M) - sum_j m_j |theta_j - theta_0j|)

with M any bound of sigma_max.

The first is that of Pfister and Bresler (IEEE Trans. Signal Processing 2019, 1802.09575) for
polynomials; Araujo et al. (AAAI 2021, 2006.08391) bound convolutions by the same polynomial. Where
the kernel is small off its centre a second bound is better, sigma_min(theta_0) - sum_j L_j
|theta_j - theta_0j|, L_j the first bound of the kernel i k_j w[k] of the derivative. Cells of the
grid that could hold the minimum are halved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medinv.layers.linalg import symbol as symbols


@dataclass(frozen=True)
class SpectrumBounds:
    """`largest` is at least, `smallest` at most, every singular value of the circular convolution
    on images of any size.

    `largest` holds for zero padding too, whose matrix is a part of that of the plane; `smallest`
    does not (a shift loses the edge). `sampled` are the extreme values met: the truth lies between
    them and the bounds.
    """

    largest: float
    smallest: float
    sampled: tuple[float, float]

    @property
    def condition(self) -> float:
        """A bound of the condition number for every image size; infinite if none was found."""
        return self.largest / self.smallest if self.smallest > 0 else math.inf


def spectrum_bounds(
    weight: Tensor, groups: int = 1, *, tolerance: float = 0.05, budget: int | None = None
) -> SpectrumBounds:
    """SpectrumBounds of all singular values of a kernel (C, C / groups, *k), for every image size
    at once.

    `smallest` comes within `tolerance` (relative) of the true minimum, unless `budget` singular
    value decompositions are spent before (by default 4,096 for 32 channels a group or more, up to
    65,536 for fewer: seconds).
    """
    weight = weight.detach().double().cpu()
    margins = [side // 2 for side in weight.shape[2:]]
    sides = [max(1, (32 if len(margins) < 3 else 16) * m) for m in margins]
    values = symbols.singular_values(weight, sides, groups).flatten(len(sides))
    met = values.max().item(), values.min().item()
    largest = _upper(weight, sides, groups)
    angles = torch.cartesian_prod(
        *[2 * math.pi * torch.arange(n).double() / n for n in sides]
    ).reshape(*sides, -1)
    cells = _Cells(
        angles[..., : sides[-1] // 2 + 1, :].flatten(0, -2),
        values.amin(-1).flatten(),
        [math.pi / n for n in sides],
    )
    slopes = [_upper(_derivative(weight, axis), sides, groups) for axis in range(len(sides))]
    budget = max(4096, min(65536, 2**22 // weight.shape[1] ** 2)) if budget is None else budget
    lowest, smallest = _lower(
        weight, groups, cells, _Floor(largest, margins, slopes, tolerance), budget
    )
    return SpectrumBounds(largest, smallest, (met[0], min(met[1], lowest)))


def _upper(weight: Tensor, sides: Sequence[int], groups: int) -> float:
    shrink = math.prod(
        math.cos(side // 2 * math.pi / n) for side, n in zip(weight.shape[2:], sides, strict=True)
    )
    return symbols.singular_values(weight, sides, groups).max().item() / shrink


def _derivative(weight: Tensor, axis: int) -> Tensor:
    """The kernel whose symbol is dS / d theta_axis, but for a factor i that changes no singular
    value.
    """
    side = weight.shape[2 + axis]
    return weight * (torch.arange(side).to(weight) - side // 2).reshape(
        -1, *[1] * (weight.ndim - 3 - axis)
    )


@dataclass(frozen=True)
class _Cells:
    """Boxes of angles: centres (B, d), the smallest singular value (B,) at each, and half their
    sides.
    """

    centres: Tensor
    values: Tensor
    radii: list[float]

    def halved(self, which: Tensor, weight: Tensor, groups: int) -> "_Cells":
        radii = [r / 2 for r in self.radii]
        corners = torch.cartesian_prod(
            *[torch.tensor([-r, r], dtype=torch.float64) for r in radii]
        ).reshape(-1, len(radii))
        centres = (self.centres[which][:, None] + corners).flatten(0, 1)
        return _Cells(centres, _smallest_at(weight, groups, centres), radii)


@dataclass(frozen=True)
class _Floor:
    """The two lower bounds of the smallest singular value anywhere in a cell."""

    largest: float
    degrees: list[int]
    slopes: list[float]
    tolerance: float

    def __call__(self, cells: _Cells) -> Tensor:
        turn = sum(m * r for m, r in zip(self.degrees, cells.radii, strict=True))
        fall = sum(slope * r for slope, r in zip(self.slopes, cells.radii, strict=True))
        by_angle = self.largest * torch.sin(
            (torch.arcsin((cells.values / self.largest).clamp(0, 1)) - turn).clamp_min(0)
        )
        return torch.maximum(by_angle, cells.values - fall)


def _lower(
    weight: Tensor, groups: int, cells: _Cells, floor: _Floor, budget: int
) -> tuple[float, float]:
    """The smallest value met and the bound, by halving cells whose floor is too far below the
    smallest value met.
    """
    best, certified = cells.values.min().item(), floor.largest
    while True:
        floors = floor(cells)
        open_cells = floors < (1 - floor.tolerance) * best
        count = int(open_cells.sum())
        if count < len(floors):
            certified = min(certified, floors[~open_cells].min().item())
        budget -= count * 2 ** len(cells.radii)
        if count == 0 or budget < 0 or best < floor.largest / symbols.LOST:
            return best, max(0.0, min(certified, floors.min().item()))
        cells = cells.halved(open_cells, weight, groups)
        best = min(best, cells.values.min().item())


def _smallest_at(weight: Tensor, groups: int, angles: Tensor) -> Tensor:
    """Smallest singular value (B,) of the symbol at `angles` (B, d)."""
    taps = torch.cartesian_prod(
        *[torch.arange(side).double() - side // 2 for side in weight.shape[2:]]
    ).reshape(-1, angles.shape[1])
    phases = torch.polar(torch.ones(len(angles), len(taps), dtype=torch.float64), angles @ taps.T)
    kernels = symbols.by_groups(weight, groups).flatten(3).to(phases.dtype)
    matrices = torch.einsum("bk,goik->bgoi", phases, kernels)
    return torch.from_numpy(np.linalg.svd(matrices.numpy(), compute_uv=False)).flatten(1).amin(1)
