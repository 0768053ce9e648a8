"""What explanations need of a model, and what they ask of it."""

from typing import Protocol

import torch
from torch import Tensor

from medinv.layers import Chain
from medinv.models.depths import run, steps


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
