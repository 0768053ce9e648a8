"""A trunk layer by layer: what stands at each depth, and the way back from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from medinv.layers import Chain, Invertible, Multiscale


class Explainable(Protocol):
    """What explanations need of a two-class model: images (N, C, *size) of two or three axes, in grey levels. `Classifier` is one."""

    trunk: Chain
    classes: tuple[str, ...]
    decision_logit: Tensor  # calibrated log-odds from which the positive class is called

    def features(self, x: Tensor) -> Tensor: ...

    def invert(self, z: Tensor) -> Tensor: ...

    def logits_of(self, z: Tensor) -> Tensor: ...

    def log_odds(self, logits: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Step:
    """One layer; after the last of a level only the first `kept` channels go on (None: all)."""

    name: str
    layer: Invertible
    kept: int | None


@dataclass(frozen=True)
class State:
    """What stands after a step: what goes on, and what has left, finest first."""

    here: Tensor
    left: tuple[Tensor, ...]

    def energy_share(self) -> Tensor:
        """Share (N,) of the squared length that goes on."""
        here = self.here.square().flatten(1).sum(1)
        return here / (here + sum(part.square().flatten(1).sum(1) for part in self.left))


def steps(trunk: Chain) -> tuple[Step, ...]:
    """The layers of a trunk in order, those of a Multiscale one by one."""
    found: list[Step] = []
    for index, part in enumerate(trunk, start=1):
        if isinstance(part, Multiscale):
            for number, (level, kept) in enumerate(zip(part.levels, (*part.keep, None)), start=1):
                for place, layer in enumerate(level, start=1):
                    found.append(
                        Step(
                            f"level {number}, layer {place}: {type(layer).__name__}",
                            layer,
                            kept if place == len(level) else None,
                        )
                    )
        else:
            found.append(Step(f"layer {index}: {type(part).__name__}", part, None))
    return tuple(found)


def run(path: tuple[Step, ...], x: Tensor) -> Iterator[State]:
    """What stands after each step, for images x (N, C, *size)."""
    left: tuple[Tensor, ...] = ()
    for step in path:
        x = step.layer(x)
        if step.kept is not None:
            x, left = x[:, : step.kept], (*left, x[:, step.kept :])
        yield State(x, left)


@torch.no_grad()
def back(path: tuple[Step, ...], state: State) -> Tensor:
    """The image from what stands after the last of these steps."""
    x, left = state.here, list(state.left)
    for step in reversed(path):
        if step.kept is not None:
            x = torch.cat([x, left.pop()], 1)
        x = step.layer.inverse(x)
    return x


def decision(model: Explainable, here: Tensor) -> Tensor:
    """Calibrated log-odds (N,) from what goes on after the last step."""
    return model.log_odds(model.logits_of(here))
