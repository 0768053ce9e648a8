"""A trunk layer by layer: what stands at each depth, and the way back from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from medinv.layers import Chain, Invertible, Multiscale


class Explainable(Protocol):
    """What explanations need of a two-class model. `medinv.models.density.Classifier` is one.

    Images are (N, C, *size) of two or three axes, in grey levels; the head is linear in the
    features.
    """

    trunk: Chain
    classes: tuple[str, ...]
    decision_logit: Tensor  # calibrated log-odds from which the positive class is called

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C', *size') of images."""

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`."""

    def logits_of(self, z: Tensor) -> Tensor:
        """Uncalibrated logits (N, 2) of features, of which the first channels decide."""

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds (N,) of the positive class."""


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
    """The layers of a trunk in order, those of a Multiscale one by one."""
    path: list[Step] = []
    for index, part in enumerate(trunk, start=1):
        if not isinstance(part, Multiscale):
            path.append(Step(f"layer {index}: {type(part).__name__}", part, None))
            continue
        levels = zip(part.levels, (*part.keep, None), strict=True)
        for number, (level, kept) in enumerate(levels, start=1):
            layers = list(cast(Chain, level))
            for place, layer in enumerate(layers, start=1):
                name = f"level {number}, layer {place}: {type(layer).__name__}"
                path.append(Step(name, layer, kept if place == len(layers) else None))
    return tuple(path)


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
def last_state(model: Explainable, x: Tensor) -> Tensor:
    """The coarse features (N, C, *size) of images x (N, C, *size): what the head sees."""
    *_, last = run(steps(model.trunk), x)
    return last.here


def decision(model: Explainable, here: Tensor) -> Tensor:
    """Calibrated log-odds (N,) from what goes on after the last step."""
    return model.log_odds(model.logits_of(here))


def log_odds(model: Explainable, x: Tensor) -> Tensor:
    """Calibrated log-odds (N,) of images x (N, C, *size), by the network as it is."""
    return decision(model, model.features(x))


def mean_grey(model: Explainable, x: Tensor) -> Tensor:
    """The constant images of the model's mean grey level, of the shape of `x` (N, C, *size).

    That is what the first layer of the trunk, its fixed scaling, sends to zero.
    """
    return next(iter(model.trunk)).inverse(torch.zeros_like(x))


def picture(image: Tensor) -> Tensor:
    """(1, C, *size) to (*size) on the CPU: the sum over channels, of which images here have one."""
    return image[0].sum(0).detach().cpu()
