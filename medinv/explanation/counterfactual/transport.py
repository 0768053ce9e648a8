"""A counterfactual that other networks believe: first as the classes differ for an image like this one, then in the features until this model is convinced.

The class direction alone flips the model by what other networks do not see. Here the image goes a fixed way along the transport between the classes,
is encoded, and its coarse features move along the class direction for what is then still missing. The first part knows the classes and the image but not
the model: what it changes is not what the model looked at.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import judged
from medinv.explanation.result import Counterfactual
from medinv.models.density import Classifier
from medinv.models.transport import Transport


@dataclass(frozen=True)
class Way:
    """How far. Chosen on validation images of the chest radiograph model, where shorter ways flipped the model alike and convinced other networks less."""

    length: float = 30.0  # root mean square of the transport's part, grey levels, before clipping
    share: float = 0.75  # of the target's typical log-odds, to be reached


@torch.no_grad()
def transported(
    model: Classifier, transport: Transport, x: Tensor, target: int, *, way: Way = Way()
) -> Tensor:
    """The features (N, ...) of counterfactuals of images x (N, 1, H, W) that are called the other class."""
    step = transport.step(x, target)
    size = step.square().flatten(1).mean(1).sqrt().clamp_min(1e-12)[:, None, None, None]
    z = model.features((x + way.length * step / size).clamp(0, 255)).clone()
    direction, logits = model.means[1] - model.means[0], model.logits_of(z)
    missing = way.share * model.typical_odds[target] - (logits[:, 1] - logits[:, 0])
    missing = missing.clamp_min(0) if target else missing.clamp_max(0)
    z[:, : direction.shape[0]] += (missing / direction.square().sum())[
        :, None, None, None
    ] * direction
    return z


@torch.no_grad()
def transported_counterfactual(
    model: Classifier, transport: Transport, x: Tensor, target: int, *, way: Way = Way()
) -> Counterfactual:
    """The same decoded for one image `x` (1, 1, H, W), rounded, clipped and classified anew; the strip goes straight through the features."""
    return judged(
        model,
        x,
        target,
        model.features(x),
        transported(model, transport, x, target, way=way),
        made="transport",
    )
