"""The smallest part of the region that a label is about for which the answer is another.

The region, such as the lungs, is divided into cells. What stands in a cell is exchanged for what a
training image of the target class shows there, the one that is most like this image around the
region: cells are added where the model's gradient promises most until the answer is another, then
left out again one after the other until none can be. So the part is irreducible, which each cell
shows when the image without it is stored and classified anew; that no other part is smaller is not
shown. It tells what this model answers by: a part that convinces it may convince nobody else.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.counterfactual.exchange import Choice, moved
from medinv.explanation.local import FEATHER, SHARPENED
from medinv.explanation.result import Explanation, SmallestPart
from medinv.explanation.trunk import Asked, log_odds

AT_ONCE = 16  # images that go through the network together
Holds = Callable[[NDArray], NDArray]  # choices (n, cells) to which of them are answered otherwise


@dataclass(frozen=True)
class Search:
    """How to look."""

    across: int = 16  # cells along the side of the image
    donors: int = 24  # training images that are tried, the most similar around the region first
    growth: float = 0.08  # of the cells, added at a time


def smallest_part(
    model: Asked, x: Tensor, so_far: Explanation, *, search: Search = Search()
) -> SmallestPart | None:
    """Of one image `x` (1, 1, H, W), towards the target of its counterfactual.

    None where the model's reference keeps no region, or no donors of that class.
    """
    local = so_far.local_evidence
    if local is None or local.region is None:
        return None
    return find(model, x, so_far.counterfactual.target, local.region, search=search)


def find(
    model: Asked, x: Tensor, target: str, region: NDArray, *, search: Search = Search()
) -> SmallestPart | None:
    """The part of `region` (H, W) bool for which `x` (1, 1, H, W) is answered `target`, in scope.

    None where the model's reference keeps no region, or no donors of that class.
    """
    reference, number = model.reference, model.classes.index(target)
    if not reference or not reference.donors or not reference.region:
        return None
    numbers = cells(region, max(1, x.shape[-1] // search.across))
    count, nearest = int(numbers.max()), Choice(nearest=search.donors)
    others = moved(reference.region, reference.donors, x, number, choice=nearest)
    for other in others.split(1):
        exchange = _Exchange(model, x, other, numbers, number)
        if exchange.holds(np.ones((1, count), bool))[0]:
            chosen = pruned(_grown(exchange, count, search.growth), exchange.holds)
            mask = np.isin(numbers, 1 + np.flatnonzero(chosen))
            edited = with_cells(x, other, numbers, chosen[None])
            edit = from_image(model, x, number, edited, "smallest")
            share = float(mask.sum() / region.sum())
            return SmallestPart(target, count, int(chosen.sum()), share, mask, edit)
    nothing = np.zeros(region.shape, bool)
    return SmallestPart(target, count, 0, 0.0, nothing, None) if len(others) else None


def cells(region: NDArray, size: int) -> NDArray:
    """(H, W) the numbers of cells from 1 within `region` (H, W) bool, 0 outside.

    Each pixel belongs to the nearest point of a grid of `size` pixels that lies inside, so that no
    sliver at the border is a cell of its own.

    >>> cells(np.ones((4, 4), bool), 2).tolist()
    [[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2], [3, 3, 3, 4]]
    """
    seeds = np.zeros(region.shape, bool)
    seeds[size // 2 :: size, size // 2 :: size] = True
    seeds &= region
    seeds = seeds if seeds.any() else region
    numbered = np.where(seeds, np.cumsum(seeds).reshape(seeds.shape), 0)
    nearest = distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    return np.where(region, numbered[tuple(nearest)], 0)


def with_cells(x: Tensor, other: Tensor, numbers: NDArray, chosen: NDArray) -> Tensor:
    """`x` (1, 1, H, W) with the chosen cells (n, cells) of `other`, soft-edged: (n, 1, H, W)."""
    masks = np.concatenate([np.zeros((len(chosen), 1), bool), chosen], 1)[:, numbers].astype(float)
    soft = np.clip(SHARPENED * gaussian_filter(masks, (0, FEATHER, FEATHER)), 0, 1)
    shares = torch.from_numpy(soft).to(x)[:, None]
    return x + shares * (other - x)


def pruned(chosen: NDArray, holds: Holds) -> NDArray:
    """Of a choice (cells,) that holds, what is left when no cell can be left out any more.

    Each round tries to leave out every cell by itself, then all that can be at once, half of them,
    and so on; it ends with a round in which none can.
    """
    while (inside := np.flatnonzero(chosen)).size > 1:
        without = np.repeat(chosen[None], len(inside), 0)
        without[np.arange(len(inside)), inside] = False
        free = inside[holds(without)]
        if not free.size:
            break
        sizes = sorted({max(1, free.size >> step) for step in range(free.size.bit_length())})
        tries = np.repeat(chosen[None], len(sizes), 0)
        for row, size in zip(tries, sizes, strict=True):
            row[free[:size]] = False
        chosen = tries[np.flatnonzero(holds(tries)).max()]  # the first row holds: one alone
    return chosen


@dataclass(frozen=True)
class _Exchange:
    """Cells of one image that may be exchanged for those of another, and what is then answered."""

    model: Asked
    x: Tensor  # (1, 1, H, W)
    other: Tensor  # (1, 1, H, W)
    numbers: NDArray  # (H, W) of cells
    target: int

    @torch.no_grad()
    def holds(self, chosen: NDArray) -> NDArray:
        """Which choices (n, cells) are answered the target and in scope, as stored."""
        out = []
        for some in np.array_split(chosen, -(-len(chosen) // AT_ONCE)):
            edited = with_cells(self.x, self.other, self.numbers, some)
            reading = self.model.read(edited.clamp(0, 255).round())
            answered = self.model.called(reading.logits) == self.target
            out.append((answered & self.model.in_scope(reading)).cpu().numpy())
        return np.concatenate(out)

    def gains(self, chosen: NDArray) -> NDArray:
        """What the gradient at a choice (cells,) promises of each further cell, in log-odds."""
        here = with_cells(self.x, self.other, self.numbers, chosen[None]).requires_grad_()
        (slope,) = torch.autograd.grad(log_odds(self.model, here).sum(), here)
        sign = 1.0 if self.target == self.model.pair[0] else -1.0
        promise = (sign * slope * (self.other - self.x))[0, 0].cpu().numpy()
        found = np.bincount(self.numbers.ravel(), promise.ravel(), len(chosen) + 1)[1:]
        return np.where(chosen, -np.inf, found)


def _grown(exchange: _Exchange, count: int, growth: float) -> NDArray:
    """Of `count` cells those added until the answer is another; all together make it so."""
    chosen, step = np.zeros(count, bool), max(1, round(growth * count))
    while not chosen.all():
        gains = exchange.gains(chosen)
        best = gains.argsort()[::-1][:step]
        chosen[best[np.isfinite(gains[best])]] = True
        if exchange.holds(chosen[None])[0]:
            break
    return chosen
