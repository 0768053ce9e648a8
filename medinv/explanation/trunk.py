"""What explanations need of a model, and what they ask of it."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from medinv.layers import Chain
from medinv.models.base import InvertibleNetwork
from medinv.models.depths import run, steps


class Explainable(Protocol):
    """What most explanations need: a model asked about two classes.

    An invertible network of two classes is one, and so is `Pair`, of any two classes of a network.

    Images are (N, C, *size) of two or three axes, in grey levels; the head is linear in the
    features.
    """

    @property
    def trunk(self) -> Chain:
        """The layers between images and features."""

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes of the model."""

    @property
    def decision_logit(self) -> Tensor:
        """Calibrated log-odds () from which the first of the two is preferred."""

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C', *size') of images."""

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`."""

    def logits_of(self, z: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of features, of which the first channels decide."""

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds (N,) of the first of the two against the second."""


@dataclass(frozen=True)
class Pair:
    """A network of any number of classes, asked about two of them: `towards` against `against`.

    All else is the network's own.
    """

    network: InvertibleNetwork
    towards: int
    against: int

    @property
    def pair(self) -> tuple[int, int]:
        """Numbers of the two classes."""
        return self.towards, self.against

    @property
    def trunk(self) -> Chain:
        """That of the network."""
        return self.network.trunk

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the network."""
        return self.network.classes

    @property
    def decision_logit(self) -> Tensor:
        """0 (): the likelier of the two is preferred."""
        return torch.zeros_like(self.network.decision_logit)

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds (N,) of `towards` against `against`."""
        calibrated = self.network.calibrated(logits)
        return calibrated[:, self.towards] - calibrated[:, self.against]

    def features(self, x: Tensor) -> Tensor:
        """Those of the network."""
        return self.network.features(x)

    def invert(self, z: Tensor) -> Tensor:
        """That of the network."""
        return self.network.invert(z)

    def logits_of(self, z: Tensor) -> Tensor:
        """Those of the network, (N, K)."""
        return self.network.logits_of(z)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the network's."""
        if name == "network":  # while a copy is made
            raise AttributeError(name)
        return getattr(self.network, name)


Asked = InvertibleNetwork | Pair  # a network asked about two of its classes


def asked(network: InvertibleNetwork, towards: int, against: int) -> Asked:
    """The network asked about two of its classes; of two in all it is itself, the second first."""
    return network if len(network.classes) == 2 else Pair(network, towards, against)


def uncalibrated(model: Asked, z: Tensor) -> Tensor:
    """Uncalibrated log-odds (N,) of features, in which `typical_odds` are."""
    logits, (towards, against) = model.logits_of(z), model.pair
    return logits[:, towards] - logits[:, against]


def typical(model: Asked, target: int) -> Tensor:
    """The median uncalibrated log-odds (), as asked, of training images of one of the two."""
    towards, against = model.pair
    if target == towards:
        return model.typical(towards, against)
    return -model.typical(against, towards)


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
    """(1, C, *size) on the CPU as one looks at it: (*size) of one channel, else (*size, C)."""
    channels = image[0].detach().cpu()
    return channels[0] if len(channels) == 1 else channels.movedim(0, -1)
