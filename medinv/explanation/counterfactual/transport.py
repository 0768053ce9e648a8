"""A counterfactual that other networks believe: as the classes differ, then as the model asks.

The class direction alone flips the model by what other networks do not see. Here the image goes a
fixed way along the transport between the classes, is encoded, and its coarse features move along
the class direction for what is then still missing. The first part knows the classes and the image
but not the model: what it changes is not what the model looked at.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import from_features, past_others, towards
from medinv.explanation.result import Counterfactual, LocalEvidence
from medinv.explanation.trunk import Asked, typical, uncalibrated
from medinv.models.transport import Transport


@dataclass(frozen=True)
class Path:
    """How far.

    Chosen on validation images of the chest radiograph model, where shorter ways flipped the model
    alike and convinced other networks less.
    """

    length: float = 30.0  # root mean square of the transport's part, grey levels, before clipping
    share: float = 0.75  # of the target's typical log-odds, to be reached


@torch.no_grad()
def transport_features(
    model: Asked, transport: Transport, x: Tensor, target: int, *, path: Path = Path()
) -> Tensor:
    """The features (N, ...) of counterfactuals of images x (N, 1, H, W) of the other class."""
    step = transport.step(x, target, sum(model.pair) - target)
    size = step.square().flatten(1).mean(1).sqrt().clamp_min(1e-12)[:, None, None, None]
    z = model.features((x + path.length * step / size).clamp(0, 255))
    reached, wanted = uncalibrated(model, z), path.share * typical(model, target)
    beyond = torch.maximum if target == model.pair[0] else torch.minimum
    return towards(model, z, beyond(reached, wanted))


@torch.no_grad()
def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual | None:
    """The same decoded for one image `x` (1, 1, H, W), rounded, clipped and classified anew.

    None where the model's reference does not say how the classes differ.
    """
    if not model.reference or not model.reference.transport:
        return None
    end = transport_features(model, model.reference.transport, x, target)
    end = past_others(model, end, target)
    return from_features(model, x, target, (model.features(x), end), "transport")
