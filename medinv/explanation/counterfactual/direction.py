"""What the network would need to see to decide otherwise."""

import torch
from torch import Tensor

from medinv.explanation.result import CHANGED, Counterfactual, Made
from medinv.models.density import Classifier

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
def judged(
    model: Classifier,
    x: Tensor,
    target: int,
    start: Tensor,
    end: Tensor,
    *,
    made: Made = "direction",
) -> Counterfactual:
    """The counterfactual decoded from the features `end`, those of the image `x` being `start`, with its re-checks; the strip goes straight through the features."""
    path = torch.cat([torch.lerp(start, end, step / (STRIP - 1)) for step in range(STRIP)])
    return _result(
        model, x, target, model.invert(path), model.log_odds(model.logits_of(end)).item(), made
    )


@torch.no_grad()
def filed(
    model: Classifier, x: Tensor, edited: Tensor, target: int, *, made: Made
) -> Counterfactual:
    """The counterfactual `edited` (1, 1, H, W) of the image `x`, edited as an image, encoded and decoded, with its re-checks; the strip goes straight through
    the pixels, so that nothing changes on the way that does not change in the end."""
    z = model.features(edited)
    path = torch.cat(
        [*(torch.lerp(x, edited, step / (STRIP - 1)) for step in range(STRIP - 1)), model.invert(z)]
    )
    return _result(model, x, target, path, model.log_odds(model.logits_of(z)).item(), made)


def _result(
    model: Classifier, x: Tensor, target: int, path: Tensor, target_logit: float, made: Made
) -> Counterfactual:
    stored = path.clamp(0, 255).round()
    anew = model.read(stored[-1:])
    logit = model.log_odds(anew.logits).item()
    difference = stored[-1, 0] - x[0, 0]
    return Counterfactual(
        image=stored[-1, 0].to(torch.uint8).cpu().numpy(),
        difference=difference.cpu().numpy(),
        target=model.classes[target],
        target_logit=target_logit,
        logit=logit,
        flipped=(logit >= model.decision_logit.item()) == bool(target),
        in_scope=anew.scope.item() <= model.scope_threshold.item(),
        rms=difference.square().mean().sqrt().item(),
        out_of_range=((path[-1] < -0.5) | (path[-1] > 255.5)).double().mean().item(),
        changed=(difference.abs() > CHANGED).double().mean().item(),
        strip=tuple(stored[:, 0].to(torch.uint8).cpu().numpy()),
        made=made,
    )
