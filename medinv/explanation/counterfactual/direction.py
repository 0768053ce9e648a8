"""What the network would need to see to decide otherwise: along the class direction."""

import torch
from torch import Tensor

from medinv.explanation.result import CHANGED, Counterfactual, LocalEvidence, Method
from medinv.explanation.trunk import decision
from medinv.models.density import Classifier

STRIP = 5  # images from the input to the counterfactual, both included


@torch.no_grad()
def counterfactual(
    model: Classifier, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual:
    """Move the features of one image `x` (1, 1, H, W) along the class direction and decode.

    ECINN (Hvilshoj et al. 2021, 2103.13701): the coarse latent c goes to c + t (mu_1 - mu_0), where
    t brings the log-odds to the median that training images of `target` (0 or 1) have; all else in
    the features stays. The decoded image is rounded and clipped to what could be stored, and
    classified anew. Every density model can have it.
    """
    start = model.features(x)
    end = towards(model, start, model.typical_odds[target])
    return from_features(model, x, target, (start, end), "direction")


def towards(model: Classifier, z: Tensor, wanted: Tensor) -> Tensor:
    """Features z (N, ...) moved along the class direction to uncalibrated log-odds `wanted`."""
    direction = model.means[1] - model.means[0]
    t = (wanted - uncalibrated(model, z)) / direction.square().sum()
    moved = z.clone()
    moved[:, : direction.shape[0]] += t[:, None, None, None] * direction
    return moved


def uncalibrated(model: Classifier, z: Tensor) -> Tensor:
    """Uncalibrated log-odds (N,) of features, in which `typical_odds` are."""
    logits = model.logits_of(z)
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def from_features(
    model: Classifier, x: Tensor, target: int, ends: tuple[Tensor, Tensor], method: Method
) -> Counterfactual:
    """The counterfactual of the image `x` (1, 1, H, W) decoded from features, with its re-checks.

    ends: the features of `x` and those of the counterfactual; the strip goes straight from the
    first to the second.
    """
    start, end = ends
    path = torch.cat([torch.lerp(start, end, step / (STRIP - 1)) for step in range(STRIP)])
    return _rechecked(model, x, target, (model.invert(path), end), method)


@torch.no_grad()
def from_image(
    model: Classifier, x: Tensor, target: int, edited: Tensor, method: Method
) -> Counterfactual:
    """The counterfactual `edited` (1, 1, H, W) of the image `x`, with its re-checks.

    It was edited as an image and is encoded and decoded here; the strip goes straight through the
    pixels, so that nothing changes on the way that does not change in the end.
    """
    z = model.features(edited)
    path = [torch.lerp(x, edited, step / (STRIP - 1)) for step in range(STRIP - 1)]
    return _rechecked(model, x, target, (torch.cat([*path, model.invert(z)]), z), method)


def _rechecked(
    model: Classifier, x: Tensor, target: int, decoded: tuple[Tensor, Tensor], method: Method
) -> Counterfactual:
    """Of the decoded strip (STRIP, 1, H, W) and the features at its end."""
    path, end = decoded
    stored = path.clamp(0, 255).round()
    anew = model.read(stored[-1:])
    logit = model.log_odds(anew.logits).item()
    difference = stored[-1, 0] - x[0, 0]
    return Counterfactual(
        image=stored[-1, 0].to(torch.uint8).cpu().numpy(),
        difference=difference.cpu().numpy(),
        target=model.classes[target],
        target_logit=decision(model, end).item(),
        logit=logit,
        flipped=(logit >= model.decision_logit.item()) == bool(target),
        in_scope=anew.scope.item() <= model.scope_threshold.item(),
        rms=difference.square().mean().sqrt().item(),
        out_of_range=((path[-1] < -0.5) | (path[-1] > 255.5)).double().mean().item(),
        changed=(difference.abs() > CHANGED).double().mean().item(),
        strip=tuple(stored[:, 0].to(torch.uint8).cpu().numpy()),
        method=method,
    )
