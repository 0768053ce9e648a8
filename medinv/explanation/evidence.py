"""Which pixels, and which channels and places at every depth, carry the decision."""

import torch
from numpy.typing import NDArray
from torch import Tensor

from medinv.errors import ShapeError
from medinv.explanation.affine import freeze
from medinv.explanation.result import Evidence, HeadView, LayerEvidence
from medinv.explanation.trunk import (
    Asked,
    Explainable,
    decision,
    last_state,
    log_odds,
    mean_grey,
    picture,
)
from medinv.models.depths import run, steps


def evidence(model: Explainable, x: Tensor) -> Evidence:
    """The log-odds as an affine map of one image `x` (1, C, *size), gates frozen at `x`.

        logit(x) = sum_p A_p (x_p - r) + b,

    with r the model's mean grey level, so that a pixel of average brightness carries nothing. A
    comes from one backward pass through the frozen map, b from running that map on the constant
    image r, and the logit from the network itself: their residual is measured, not assumed.
    """
    with torch.no_grad():
        logit = log_odds(model, x).item()
        frozen = freeze(model.trunk, x)
        grey = mean_grey(model, x)
    start = grey.clone().requires_grad_()
    at_grey = decision(model, frozen(start))
    (slope,) = torch.autograd.grad(at_grey.sum(), start)
    contributions = (slope * (x - grey))[0].sum(0)
    bias = at_grey.item()
    residual = abs(contributions.sum().item() + bias - logit)
    return Evidence(contributions.cpu().numpy(), bias, logit, residual)


def layer_evidence(model: Explainable, x: Tensor) -> tuple[LayerEvidence, ...]:
    """The same decision as an exact sum over what stands at each depth of the trunk.

    The depths go from the image (first) to what the head sees (last). With u_d the state of the
    image `x` (1, C, *size) at depth d, r_d that of the constant mean grey through the same frozen
    map and A_d the slope there, logit = sum A_d (u_d - r_d) + b at every depth, with one and the
    same b. What has left the trunk carries nothing. The deeper, the less cancels and the coarser is
    the place.
    """
    terms, bias, logit = layer_terms(model, x)
    names = ("image", *(step.name for step in steps(model.trunk)))
    return tuple(
        _sums(name, values[0], bias.item(), logit.item())
        for name, values in zip(names, terms, strict=True)
    )


def layer_terms(model: Explainable, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """What `layer_evidence` sums, for images (N, C, *size).

    These are the terms (N, C_d, *size_d) at every depth, the bias (N,) and the logit (N,).
    """
    path, states, grounds = steps(model.trunk), [x], [mean_grey(model, x).detach().requires_grad_()]
    with torch.no_grad():
        states += [state.here for state in run(path, x)]
        logit = decision(model, states[-1])
    for step, before in zip(path, states, strict=False):
        with torch.no_grad():
            frozen = freeze(step.layer, before)
        ground = frozen(grounds[-1])
        grounds.append(ground if step.kept is None else ground[:, : step.kept])
    bias = decision(model, grounds[-1])
    slopes = torch.autograd.grad(bias.sum(), grounds)
    terms = [
        slope * (state - ground.detach())
        for slope, state, ground in zip(slopes, states, grounds, strict=True)
    ]
    return terms, bias.detach(), logit


@torch.no_grad()
def likelihood_ratio(model: Asked, x: Tensor) -> LayerEvidence:
    """The log-odds of one image `x` (1, C, *size) as a sum over places of the coarse features.

    There is no reference image and nothing is frozen. Of a density the log-ratio of two Gaussians
    that share a unit covariance falls apart by place,

        sum over l of (mu_1 - mu_0)_l . c_l - (|mu_1|_l^2 - |mu_0|_l^2) / 2,

    so that each term is how many times likelier what stands at l is under the first class. Of a
    linear head on means each place carries its part of the mean. The bias is that of the
    calibration and of the head.
    """
    coarse, no_logits = last_state(model, x), x.new_zeros(1, len(model.classes))
    still = model.log_odds(no_logits)
    one = no_logits.clone()
    one[:, model.pair[0]] = 1.0
    slope = model.log_odds(one) - still
    terms, rest = model.odds_terms(coarse, *model.pair)
    bias = (still + slope * rest).item()
    return _sums("likelihood ratio", slope * terms[0], bias, decision(model, coarse).item())


@torch.no_grad()
def head_view(model: Explainable, x: Tensor) -> HeadView:
    """The image `x` (1, C, *size) decoded without its features' part along the head's direction.

    The rest of the image is what the head sees.
    """
    z = model.features(x)
    with torch.enable_grad():
        zero = torch.zeros_like(z).requires_grad_()
        at_zero = decision(model, zero)
        (direction,) = torch.autograd.grad(at_zero.sum(), zero)
    along = (z * direction).sum() / direction.square().sum() * direction
    without = model.invert(z - along)
    logit = log_odds(model, without).item()
    return HeadView(
        without=picture(without).numpy(),
        seen=picture(x - without).numpy(),
        energy_share=(along.square().sum() / z.square().sum()).item(),
        logit_without=logit,
        residual=abs(logit - at_zero.item()),
    )


def regional(contributions: NDArray, size: int = 8) -> NDArray:
    """Sums of an evidence map (H, W) over squares of `size` x `size` pixels, in log-odds.

    The sums are (H / size, W / size). Contributions add up, so the sum over a region is what that
    region contributes, and all regions sum to what all pixels sum to. Lost is where in a region the
    evidence lies. Raises ShapeError when the map is not (H, W) or a side is no multiple of `size`.

    >>> regional(torch.ones(4, 8).numpy(), size=4).tolist()
    [[16.0, 16.0]]
    """
    if contributions.ndim != 2 or size < 1 or any(side % size for side in contributions.shape):
        raise ShapeError(
            f"expected (H, W), both multiples of {size}, got {contributions.shape}; "
            "choose a size that divides them"
        )
    height, width = contributions.shape
    return contributions.reshape(height // size, size, width // size, size).sum(axis=(1, 3))


def _sums(name: str, terms: Tensor, bias: float, logit: float) -> LayerEvidence:
    """Of terms (C, *size) by channel and by location."""
    return LayerEvidence(
        name=name,
        channels=terms.flatten(1).sum(1).cpu().numpy(),
        locations=terms.sum(0).cpu().numpy(),
        bias=bias,
        residual=abs(terms.sum().item() + bias - logit),
    )
