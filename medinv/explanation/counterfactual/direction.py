"""What the network would need to see to decide otherwise: along the class direction."""

import torch
from torch import Tensor

from medinv.explanation.result import CHANGED, Counterfactual, LocalEvidence, Method
from medinv.explanation.trunk import Asked, asked, decision, picture, typical, uncalibrated

STRIP = 5  # images from the input to the counterfactual, both included


@torch.no_grad()
def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual:
    """Move the features of one image `x` (1, C, *size) along the class direction and decode.

    ECINN (Hvilshoj et al. 2021, 2103.13701): the coarse latent c goes to c + t (mu_1 - mu_0), where
    t brings the log-odds to the median that training images of `target` have, and to the opposite
    of the image's own where no training images are known; all else in the features stays. Where a
    third class would be called then, c moves on along the direction from that one. The decoded
    image is rounded and clipped to what could be stored, and classified anew. Every invertible
    model can have it.
    """
    start = model.features(x)
    wanted = typical(model, target)
    end = towards(model, start, wanted if wanted != 0 else -uncalibrated(model, start))
    return from_features(model, x, target, (start, past_others(model, end, target)), "direction")


def towards(model: Asked, z: Tensor, wanted: Tensor) -> Tensor:
    """Features z (N, ...) moved along the class direction to uncalibrated log-odds `wanted`."""
    coarse = z[:, : model.coarse]
    direction = model.class_direction(*model.pair, coarse)
    t = (wanted - uncalibrated(model, z)) / direction.square().sum()
    moved = z.clone()
    moved[:, : model.coarse] += t.reshape(-1, *[1] * (z.ndim - 1)) * direction
    return moved


def past_others(model: Asked, z: Tensor, target: int) -> Tensor:
    """Features z (1, ...) in which no class outside of the pair is likelier than `target`.

    Where one is, by the uncalibrated logits, z moves along the direction from it to where training
    images of `target` mostly are, one class after the other, at most twice each.
    """
    others = [k for k in range(len(model.classes)) if k not in model.pair]
    for _ in range(2 * len(others)):
        logits = model.calibrated(model.logits_of(z))[0]
        rival = max(others, key=lambda k: logits[k].item())
        if logits[rival] < logits[target]:
            break
        question = asked(model.network, target, rival)
        wanted = typical(question, target)
        z = towards(question, z, wanted if wanted > 0 else -uncalibrated(question, z) + 1)
    return z


@torch.no_grad()
def from_features(
    model: Asked, x: Tensor, target: int, ends: tuple[Tensor, Tensor], method: Method
) -> Counterfactual:
    """The counterfactual of the image `x` (1, C, *size) decoded from features, with its re-checks.

    ends: the features of `x` and those of the counterfactual; the strip goes straight from the
    first to the second.
    """
    start, end = ends
    path = torch.cat([torch.lerp(start, end, step / (STRIP - 1)) for step in range(STRIP)])
    return _rechecked(model, x, target, (model.invert(path), end), method)


@torch.no_grad()
def from_image(
    model: Asked, x: Tensor, target: int, edited: Tensor, method: Method
) -> Counterfactual:
    """The counterfactual `edited` (1, C, *size) of the image `x`, with its re-checks.

    It was edited as an image and is encoded and decoded here; the strip goes straight through the
    pixels, so that nothing changes on the way that does not change in the end.
    """
    z = model.features(edited)
    path = [torch.lerp(x, edited, step / (STRIP - 1)) for step in range(STRIP - 1)]
    return _rechecked(model, x, target, (torch.cat([*path, model.invert(z)]), z), method)


def _rechecked(
    model: Asked, x: Tensor, target: int, decoded: tuple[Tensor, Tensor], method: Method
) -> Counterfactual:
    """Of the decoded strip (STRIP, C, *size) and the features at its end."""
    path, end = decoded
    stored = path.clamp(0, 255).round()
    anew = model.read(stored[-1:])
    logit = model.log_odds(anew.logits).item()
    difference = stored[-1:] - x
    strip = tuple(picture(image[None]).to(torch.uint8).numpy() for image in stored)
    return Counterfactual(
        image=strip[-1],
        difference=picture(difference).numpy(),
        target=model.classes[target],
        target_logit=decision(model, end).item(),
        logit=logit,
        flipped=bool(model.called(anew.logits) == target),
        in_scope=bool(model.in_scope(anew)),
        rms=difference.square().mean().sqrt().item(),
        out_of_range=((path[-1] < -0.5) | (path[-1] > 255.5)).double().mean().item(),
        changed=(difference.abs().amax(1) > CHANGED).double().mean().item(),
        strip=strip,
        method=method,
    )
