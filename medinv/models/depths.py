"""A trunk layer by layer: what stands at each depth, and the way back from it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from medinv.layers import Bypass, Chain, Haar, Haar3d, Invertible, Multiscale


@dataclass(frozen=True)
class Step:
    """One layer; after the last of a level only the first `kept` channels go on (None: all)."""

    name: str
    layer: Invertible
    kept: int | None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What goes on after this layer of `x` (N, C, *size), and what leaves."""
        y = self.layer(x)
        return (y, None) if self.kept is None else (y[:, : self.kept], y[:, self.kept :])


@dataclass(frozen=True)
class State:
    """What stands after a step: what goes on, and what has left, finest first."""

    here: Tensor
    left: tuple[Tensor, ...]

    def energy_share(self) -> Tensor:
        """Share (N,) of the squared length that goes on."""
        here, *left = (part.square().flatten(1).sum(1) for part in (self.here, *self.left))
        return here / (here + sum(left))


def steps(trunk: Chain) -> tuple[Step, ...]:
    """The layers of a trunk in order, those of a Multiscale and within a Bypass one by one.

    They are named by their level, which begins with a halving, and their place in it.
    """
    path, places = list[Step](), Counter[int]()
    for level, layer, kept in _walk(trunk, 0):
        places[level] += 1
        where = f"level {level}, layer" if level else "layer"
        path.append(Step(f"{where} {places[level]}: {type(layer).__name__}", layer, kept))
    return tuple(path)


def _walk(trunk: Chain, level: int) -> list[tuple[int, Invertible, int | None]]:
    """The level of each layer of a trunk that begins in `level`, the layer, and what it keeps."""
    path: list[tuple[int, Invertible, int | None]] = []
    for part in trunk:
        if isinstance(part, Bypass) and path:  # what goes around leaves after the layer before it
            path[-1] = (*path[-1][:2], part.kept)
            path += _walk(part.inner, level)
        elif isinstance(part, Multiscale):
            for inner, kept in zip(part.levels, (*part.keep, None), strict=True):
                level += 1
                path += [(level, layer, None) for layer in cast(Chain, inner)]
                path[-1] = (*path[-1][:2], kept)
        else:
            level += isinstance(part, Haar | Haar3d)
            path.append((level, part, None))
    return path


def run(path: tuple[Step, ...], x: Tensor) -> Iterator[State]:
    """What stands after each step, for images x (N, C, *size)."""
    left: tuple[Tensor, ...] = ()
    for step in path:
        x, out = step.forward(x)
        left = left if out is None else (*left, out)
        yield State(x, left)


@torch.no_grad()
def decode(path: tuple[Step, ...], state: State) -> Tensor:
    """The images (N, C, *size) from what stands after the last of these steps."""
    x, left = state.here, list(state.left)
    for step in reversed(path):
        if step.kept is not None:
            x = torch.cat([x, left.pop()], 1)
        x = step.layer.inverse(x)
    return x


@torch.no_grad()
def mean_states(
    trunk: Chain, batches: Iterable[Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """The mean of what stands at the depths `names` over batches of images (N, C, *size)."""
    path, sums, count = steps(trunk), dict[str, Tensor](), 0
    for x in batches:
        count += len(x)
        for step, state in zip(path, run(path, x), strict=True):
            if step.name in names:
                total = state.here.sum(0)
                sums[step.name] = sums[step.name] + total if step.name in sums else total
    return {name: sums[name] / count for name in names}
