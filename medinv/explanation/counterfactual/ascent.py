"""A counterfactual sought for, not computed: the nearest likely image that flips the model and, where one is given, an independent witness.

The class direction alone flips the model by what other networks do not see. Here the features are moved by descent on

    hinge(log-odds to `share` of the typical ones of the target) + hinge(the witness' log-odds to `witness_odds`) + prior |dz|^2 / 2 + squared excess of the range,

which is latent ascent (diffeomorphic counterfactuals, Dombrowski et al. 2022; CheXpert) with the Gaussian of the features as its prior. What only this network
would need to see is lost with a witness: show the edit along the class direction beside it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import judged
from medinv.explanation.result import Counterfactual
from medinv.models.base import Calibrated
from medinv.models.density import Classifier


@dataclass(frozen=True)
class Search:
    """How to look. The defaults were chosen on validation images of the chest radiograph model."""

    steps: int = 20
    rate: float = 0.05  # of Adam, units of the features
    prior: float = 0.1  # nats of log-odds that a nat of the features' Gaussian may cost
    share: float = 0.6  # of the target's typical log-odds


def seek(
    model: Classifier,
    x: Tensor,
    target: int,
    *,
    witness: Calibrated | None = None,
    witness_odds: float = 0.0,
    search: Search = Search(),
) -> Tensor:
    """The features (N, ...) of counterfactuals of images x (N, 1, H, W). `witness_odds` are calibrated log-odds, to be reached from either side."""
    sign = 1.0 if target else -1.0
    wanted = search.share * model.typical_odds[target]
    with torch.no_grad():
        start = model.features(x)
    change = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=search.rate)
    for _ in range(search.steps):
        z = start + change
        image = model.invert(z)
        logits = model.logits_of(z)
        cost = torch.relu(
            sign * (wanted - (logits[:, 1] - logits[:, 0]))
        ) + search.prior / 2 * change.square().flatten(1).sum(1)
        cost = cost + (torch.relu(-image) + torch.relu(image - 255)).square().flatten(1).mean(1)
        if witness is not None:
            cost = cost + torch.relu(
                sign * (witness_odds - witness.log_odds(witness.logits(image.clamp(0, 255))))
            )
        (change.grad,) = torch.autograd.grad(cost.sum(), [change])
        optimiser.step()
    return (start + change).detach()


def sought_counterfactual(
    model: Classifier,
    x: Tensor,
    target: int,
    *,
    witness: Calibrated | None = None,
    witness_odds: float = 0.0,
    search: Search = Search(),
) -> Counterfactual:
    """The same decoded for one image `x` (1, 1, H, W), rounded, clipped and classified anew; the strip goes straight through the features."""
    with torch.no_grad():
        start = model.features(x)
    end = seek(model, x, target, witness=witness, witness_odds=witness_odds, search=search)
    return judged(model, x, target, start, end, made="ascent")
