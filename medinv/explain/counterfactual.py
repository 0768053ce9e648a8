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
    start = model.features(x)
    direction = model.means[1] - model.means[0]
    logits = model.logits_of(start)
    t = (model.typical_odds[target] - (logits[:, 1] - logits[:, 0])[0]) / direction.square().sum()
    end = start.clone()
    end[:, : direction.shape[0]] += t * direction
    return judged(model, x, target, start, end)


@torch.no_grad()
def judged(model: Classifier, x: Tensor, target: int, start: Tensor, end: Tensor, *, by_classes: bool = False) -> Counterfactual:
    """The counterfactual decoded from the features `end`, those of the image `x` being `start`, with its re-checks; see `Counterfactual` for `by_classes`."""
    path = torch.cat([torch.lerp(start, end, step / (STRIP - 1)) for step in range(STRIP)])
    decoded = model.invert(path)
    stored = decoded.clamp(0, 255).round()
    anew = model.read(stored[-1:])
    logit = model.log_odds(anew.logits).item()
    difference = stored[-1, 0] - x[0, 0]
    return Counterfactual(
        image=stored[-1, 0].to(torch.uint8).cpu().numpy(),
        difference=difference.cpu().numpy(),
        target=model.classes[target],
        target_logit=model.log_odds(model.logits_of(end)).item(),
        logit=logit,
        flipped=(logit >= model.decision_logit.item()) == bool(target),
        in_scope=anew.scope.item() <= model.scope_threshold.item(),
        rms=difference.square().mean().sqrt().item(),
        out_of_range=((decoded[-1] < -0.5) | (decoded[-1] > 255.5)).double().mean().item(),
        strip=tuple(stored[:, 0].to(torch.uint8).cpu().numpy()),
        by_classes=by_classes,
    )
