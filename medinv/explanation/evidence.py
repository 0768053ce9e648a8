"""Which pixels, and which channels and places at every depth, carry the decision."""

import numpy as np
import torch
from torch import Tensor

from medinv.errors import ShapeError
from medinv.explanation.affine import freeze
from medinv.explanation.result import Evidence, HeadView, LayerEvidence
from medinv.explanation.trunk import Explainable, decision, run, steps


def evidence(model: Explainable, x: Tensor) -> Evidence:
    """The calibrated log-odds of the positive class as an affine map of one image `x` (1, C, *size), gates frozen at `x`:

        logit(x) = sum_p A_p (x_p - r) + b,

    with r the model's mean grey level, so that a pixel of average brightness carries nothing. A comes from one backward pass through the frozen map,
    b from running that map on the constant image r, and the logit from the network itself: their residual is measured, not assumed.
    """
    with torch.no_grad():
        logit = model.log_odds(model.logits_of(model.features(x))).item()
        frozen = freeze(model.trunk, x)
    reference = _mean_grey(model, x)
    start = reference.clone().requires_grad_()
    at_reference = model.log_odds(model.logits_of(frozen(start)))
    (slope,) = torch.autograd.grad(at_reference.sum(), start)
    contributions = (slope * (x - reference))[0].sum(0)
    bias = at_reference.item()
    return Evidence(
        contributions.cpu().numpy(), bias, logit, abs(contributions.sum().item() + bias - logit)
    )


def layer_evidence(model: Explainable, x: Tensor) -> tuple[LayerEvidence, ...]:
    """The same decision as an exact sum over what stands at each depth, from the image (first) to what the head sees (last).

    With u_d the state of the image `x` (1, C, *size) at depth d, r_d that of the constant mean grey through the same frozen map and A_d the slope there,
    logit = sum A_d (u_d - r_d) + b at every depth, with one and the same b. What has left the trunk carries nothing. The deeper, the less cancels and
    the coarser is the place.
    """
    terms, bias, logit = layer_terms(model, x)
    found = []
    for name, values in zip(("image", *(step.name for step in steps(model.trunk))), terms):
        channels, locations = values[0].flatten(1).sum(1), values[0].sum(0)
        residual = abs(values.sum().item() + bias.item() - logit.item())
        found.append(
            LayerEvidence(
                name, channels.cpu().numpy(), locations.cpu().numpy(), bias.item(), residual
            )
        )
    return tuple(found)


def layer_terms(model: Explainable, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """What `layer_evidence` sums, for images (N, C, *size): the terms (N, C_d, *size_d) at every depth, the bias (N,) and the logit (N,)."""
    path, images, grounds = steps(model.trunk), [x], [_mean_grey(model, x).requires_grad_()]
    with torch.no_grad():
        images += [state.here for state in run(path, x)]
        logit = decision(model, images[-1])
    for step, before in zip(path, images):
        with torch.no_grad():
            frozen = freeze(step.layer, before)
        ground = frozen(grounds[-1])
        grounds.append(ground if step.kept is None else ground[:, : step.kept])
    bias = decision(model, grounds[-1])
    slopes = torch.autograd.grad(bias.sum(), grounds)
    return (
        [
            slope * (image - ground.detach())
            for slope, image, ground in zip(slopes, images, grounds)
        ],
        bias.detach(),
        logit,
    )


def likelihood_ratio(model: Explainable, x: Tensor) -> LayerEvidence:
    """The calibrated log-odds as a sum over the places of the coarse features, with no reference image and nothing frozen.

    The log-ratio of two Gaussians that share a unit covariance falls apart by place: sum over l of (mu_1 - mu_0)_l . c_l - (|mu_1|_l^2 - |mu_0|_l^2) / 2. Each
    term is how many times likelier what stands at l is under the positive class. The bias is the calibration's intercept. Needs `model.means` (2, C, *size).
    """
    with torch.no_grad():
        *_, last = run(steps(model.trunk), x)
        logit = decision(model, last.here).item()
        bias = model.log_odds(torch.zeros(1, 2, dtype=x.dtype, device=x.device))
        slope = model.log_odds(torch.tensor([[0.0, 1.0]], dtype=x.dtype, device=x.device)) - bias
        first, second = model.means
        terms = slope * ((second - first) * last.here[0] - (second.square() - first.square()) / 2)
    channels, locations = terms.flatten(1).sum(1), terms.sum(0)
    return LayerEvidence(
        "likelihood ratio",
        channels.cpu().numpy(),
        locations.cpu().numpy(),
        bias.item(),
        abs(terms.sum().item() + bias.item() - logit),
    )


@torch.no_grad()
def head_view(model: Explainable, x: Tensor) -> HeadView:
    """The features of one image `x` (1, C, *size) without their part along the head's direction, decoded: the rest of the image is what the head sees."""
    z = model.features(x)
    with torch.enable_grad():
        blind = torch.zeros_like(z).requires_grad_()
        at_zero = model.log_odds(model.logits_of(blind))
        (direction,) = torch.autograd.grad(at_zero.sum(), blind)
    along = (z * direction).sum() / direction.square().sum() * direction
    without = model.invert(z - along)
    logit = model.log_odds(model.logits_of(model.features(without))).item()
    share = (along.square().sum() / z.square().sum()).item()
    pictures = (image[0].sum(0).cpu().numpy() for image in (without, x - without))
    return HeadView(*pictures, share, logit, abs(logit - at_zero.item()))


def _mean_grey(model: Explainable, x: Tensor) -> Tensor:
    """The constant image of the model's mean grey level, of the shape of `x`."""
    return torch.ones_like(x) * model.trunk.layers[0].mean.reshape(-1, *[1] * (x.ndim - 2))


def regional(contributions: np.ndarray, size: int = 8) -> np.ndarray:
    """Sums of an evidence map (H, W) over squares of `size` x `size` pixels: (H / size, W / size), in log-odds.

    Contributions add up, so the sum over a region is what that region contributes, and all regions sum to what all pixels sum to. Lost is where in a
    region the evidence lies. Raises ShapeError when the map is not (H, W) or a side is no multiple of `size`.
    """
    if contributions.ndim != 2 or size < 1 or any(side % size for side in contributions.shape):
        raise ShapeError(
            f"expected (H, W), both multiples of {size}, got {contributions.shape}; choose a size that divides them"
        )
    height, width = contributions.shape
    return contributions.reshape(height // size, size, width // size, size).sum(axis=(1, 3))
