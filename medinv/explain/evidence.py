"""Which pixels carry the decision."""

import numpy as np
import torch
from torch import Tensor

from medinv.errors import ShapeError
from medinv.explain.affine import freeze
from medinv.explain.result import Evidence
from medinv.models.classifier import Classifier


def evidence(model: Classifier, x: Tensor) -> Evidence:
    """The calibrated log-odds of the positive class as an affine map of one image `x` (1, 1, H, W), gates frozen at `x`:

        logit(x) = sum_p A_p (x_p - r) + b,

    with r the model's mean grey level, so that a pixel of average brightness carries nothing. A comes from one backward pass through the frozen map,
    b from running that map on the constant image r, and the logit from the network itself: their residual is measured, not assumed.
    """
    with torch.no_grad():
        logit = model.log_odds(model.logits(x)).item()
        frozen = freeze(model.trunk, x)
        reference = torch.ones_like(x) * model.trunk.layers[0].mean[:, None, None]
    start = reference.clone().requires_grad_()
    at_reference = model.log_odds(model.logits_of(frozen(start)))
    (slope,) = torch.autograd.grad(at_reference.sum(), start)
    contributions = (slope * (x - reference))[0].sum(0)
    bias = at_reference.item()
    return Evidence(contributions.cpu().numpy(), bias, logit, abs(contributions.sum().item() + bias - logit))


def regional(contributions: np.ndarray, size: int = 8) -> np.ndarray:
    """Sums of an evidence map (H, W) over squares of `size` x `size` pixels: (H / size, W / size), in log-odds.

    Contributions add up, so the sum over a region is what that region contributes, and all regions sum to what all pixels sum to. Lost is where in a
    region the evidence lies. Raises ShapeError when the map is not (H, W) or a side is no multiple of `size`.
    """
    if contributions.ndim != 2 or size < 1 or any(side % size for side in contributions.shape):
        raise ShapeError(f"expected (H, W), both multiples of {size}, got {contributions.shape}; choose a size that divides them")
    height, width = contributions.shape
    return contributions.reshape(height // size, size, width // size, size).sum(axis=(1, 3))
