"""How far a map can be made to move by a small change of what it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

CHANGE, TINY = 0.01, 1e-11  # of the length of what is changed
HALF = 0.5  # grey levels: what rounding forgives


@dataclass(frozen=True)
class Moved:
    """How far changes of one length move what comes out, as lengths.

    random: the median of changes without a direction; worst: the most that ascent found, a lower
    bound of the truth.
    """

    size: float
    random: float
    worst: float
    change: Tensor


def moved_by(
    function: Callable[[Tensor], Tensor], z: Tensor, size: float, *, steps: int, seed: int = 0
) -> Moved:
    """Changes of `z` of length `size`: five at random, and the worst that ascent finds.

    Ascent is the power method of a nonlinear map: the next direction is the gradient of
    |f(z + d) - f(z)|^2 / 2, scaled to the length. Of a linear map it is power iteration on J^T J.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        still = function(z)
    drawn = [_scaled(_noise(z, generator), size) for _ in range(5)]
    found = sorted(_distance(function, z, one, still) for one in drawn)
    change, best = drawn[0], (found[-1], drawn[0])
    for _ in range(steps):
        change = change.detach().requires_grad_()
        gap = function(z + change) - still
        (slope,) = torch.autograd.grad(gap.abs().square().sum() / 2, change)
        best = max(best, (_length(gap), change.detach()), key=lambda one: one[0])
        change = _scaled(slope, size)
    return Moved(size, found[2], *best)


def _noise(z: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(z.shape, generator=generator, dtype=z.dtype)


def _scaled(change: Tensor, size: float) -> Tensor:
    return change * (size / torch.linalg.vector_norm(change).clamp_min(1e-300))


@torch.no_grad()
def _distance(
    function: Callable[[Tensor], Tensor], z: Tensor, change: Tensor, still: Tensor
) -> float:
    return _length(function(z + change) - still)


def _length(change: Tensor) -> float:
    return torch.linalg.vector_norm(change.detach()).item()


@dataclass(frozen=True)
class Movements:
    """Of images (n,), as shares of their length about their mean, so that no scale matters.

    levels: the most, sought, in grey levels (root mean square); bearable: the random change, as a
    share of what is changed, that moves the image by half a level; own: the root mean square error
    of what comes back without a change.
    """

    random: np.ndarray
    sought: np.ndarray
    levels: np.ndarray
    bearable: np.ndarray
    own: np.ndarray


def movements(
    given: Sequence[tuple[Tensor, Tensor]], function: Callable[[Tensor], Tensor], steps: int
) -> Movements:
    """Of images under a change of 1 % of what each is told by, which stands beside it."""
    rows = []
    for x, z in given:
        length = _length(z)
        found = moved_by(function, z, CHANGE * length, steps=steps)
        small = moved_by(function, z, TINY * length, steps=0).random
        scale, root = _length(x - x.mean()), x.numel() ** 0.5
        with torch.no_grad():
            own = _length(function(z) - x) / root
        shares = (found.random / scale, found.worst / scale, found.worst / root)
        rows.append((*shares, TINY * HALF * root / small, own))
    return Movements(*np.array(rows).T)
