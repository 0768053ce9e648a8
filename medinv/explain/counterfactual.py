"""What the network would need to see to decide otherwise."""

import torch
from torch import Tensor

from medinv.explain.result import Counterfactual
from medinv.models.classifier import Classifier

STRIP = 5  # images from the input to the counterfactual, both included


@torch.no_grad()
def counterfactual(model: Classifier, x: Tensor, target: int) -> Counterfactual:
    """Move the features of one image `x` (1, 1, H, W) along the class direction and decode (ECINN, 2103.13701).

    The coarse latent c goes to c + t (mu_1 - mu_0), where t brings the log-odds to the median that training images of `target` (0 or 1) have; all else in
    the features stays. The decoded image is rounded and clipped to what could be stored, and classified anew.
    """
    z = model.features(x)
    direction = model.means[1] - model.means[0]
    odds = _odds(model, z)
    wanted = model.typical_odds[target]
    t = (wanted - odds) / direction.square().sum()
    path = torch.cat([_moved(z, direction, t * step / (STRIP - 1)) for step in range(STRIP)])
    decoded = model.invert(path)
    stored = decoded.clamp(0, 255).round()
    anew = model.read(stored[-1:])
    logit = model.log_odds(anew.logits).item()
    difference = stored[-1, 0] - x[0, 0]
    return Counterfactual(
        image=stored[-1, 0].to(torch.uint8).cpu().numpy(),
        difference=difference.cpu().numpy(),
        target=model.classes[target],
        target_logit=model.log_odds(_as_logits(wanted)).item(),
        logit=logit,
        flipped=(logit >= model.decision_logit.item()) == bool(target),
        in_scope=anew.scope.item() <= model.scope_threshold.item(),
        rms=difference.square().mean().sqrt().item(),
        out_of_range=((decoded[-1] < -0.5) | (decoded[-1] > 255.5)).double().mean().item(),
        strip=tuple(stored[:, 0].to(torch.uint8).cpu().numpy()),
    )


def _moved(z: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    moved = z.clone()
    moved[:, : direction.shape[0]] += t * direction
    return moved


def _odds(model: Classifier, z: Tensor) -> Tensor:
    logits = model.logits_of(z)
    return (logits[:, 1] - logits[:, 0])[0]


def _as_logits(odds: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(odds), odds])[None]
