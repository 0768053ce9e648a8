"""A counterfactual sought for, not computed: the nearest likely image that flips the model.

Where an independent witness is given, the image flips that too. The class direction alone flips the
model by what other networks do not see. Here the features are moved by descent on

    hinge(log-odds to `share` of the typical ones of the target)
    + hinge(the witness' log-odds to those asked for)
    + prior |dz|^2 / 2 + squared excess of the range of grey levels,

which is latent ascent (diffeomorphic counterfactuals, Dombrowski et al. 2022) with the Gaussian of
the features as its prior. What only this network would need to see is lost with a witness: show the
edit along the class direction beside it. It takes seconds an image, so that `explain` does not try
it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import from_features
from medinv.explanation.result import Counterfactual
from medinv.explanation.trunk import Asked, typical, uncalibrated
from medinv.models.base import Calibrated


@dataclass(frozen=True)
class Witness:
    """Another network to be convinced, and of what."""

    model: Calibrated
    odds: float = 0.0  # calibrated log-odds, to be reached from either side


@dataclass(frozen=True)
class Search:
    """How to look. The defaults were chosen on validation images of the chest radiograph model."""

    steps: int = 20
    rate: float = 0.05  # of Adam, units of the features
    prior: float = 0.1  # nats of log-odds that a nat of the features' Gaussian may cost
    share: float = 0.6  # of the target's typical log-odds


def ascend(
    model: Asked,
    x: Tensor,
    target: int,
    *,
    witness: Witness | None = None,
    search: Search = Search(),
) -> Tensor:
    """The features (N, ...) of counterfactuals of images x (N, C, *size).

    A witness is a network of two classes, and so must be the model that is asked beside it.
    """
    sign = 1.0 if target == model.pair[0] else -1.0
    wanted = search.share * typical(model, target)
    with torch.no_grad():
        start = model.features(x)
    change = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=search.rate)
    for _ in range(search.steps):
        z = start + change
        image = model.invert(z)
        missing = torch.relu(sign * (wanted - uncalibrated(model, z)))
        cost = missing + search.prior / 2 * change.square().flatten(1).sum(1)
        cost = cost + (torch.relu(-image) + torch.relu(image - 255)).square().flatten(1).mean(1)
        if witness is not None:
            said = witness.model.log_odds(witness.model.logits(image.clamp(0, 255)))
            cost = cost + torch.relu(sign * (witness.odds - said))
        (change.grad,) = torch.autograd.grad(cost.sum(), [change])
        optimiser.step()
    return (start + change).detach()


def counterfactual(
    model: Asked,
    x: Tensor,
    target: int,
    *,
    witness: Witness | None = None,
    search: Search = Search(),
) -> Counterfactual:
    """The same decoded for one image `x` (1, 1, H, W), rounded, clipped and classified anew."""
    with torch.no_grad():
        start = model.features(x)
    end = ascend(model, x, target, witness=witness, search=search)
    return from_features(model, x, target, (start, end), "ascent")
