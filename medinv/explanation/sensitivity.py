"""On which pixels an answer hangs, whichever way they would move it.

The evidence is what an image and its ground differ by and the answer follows. An image of another
kind than those that the model was trained on differs from any ground that the model keeps in much
that is no finding, as the lungs of adults do from those of children; by which pixels the answer
moves at all then helps to tell where a finding lies.
"""

import torch
from numpy.typing import NDArray
from torch import Tensor

from medinv.explanation.cycle_spinning import copies, moved_back
from medinv.explanation.trunk import Asked, log_odds

NOISE = 4 / 255  # standard deviation in the copies, share of the highest grey level


def sensitivity(model: Asked, x: Tensor, noise: float = NOISE) -> Tensor:
    """Of images `x` (N, C, *size) the maps (N, *size), log-odds a grey level, >= 0.

        mean over copies k of sum over channels |d log-odds / d x_k|,

    each moved back, with the copies of `cycle_spinning.copies` in `noise`: SmoothGrad (Smilkov et
    al. 2017, 1706.03825) of the size of the gradient.
    """
    maps, count = torch.zeros_like(x[:, 0]), 0
    for move, copy in copies(x, noise * (2**model.bits - 1)):
        pixels = copy.detach().requires_grad_()
        (slope,) = torch.autograd.grad(log_odds(model, pixels).sum(), pixels)
        maps, count = maps + moved_back(slope.abs().sum(1), move), count + 1
    return maps / count


def of_foreign(model: Asked, x: Tensor) -> NDArray | None:
    """That of one image `x` (1, C, *size) out of the model's scope; None of one that is in it."""
    with torch.no_grad():
        if model.in_scope(model.read(x)):
            return None
    return sensitivity(model, x)[0].cpu().numpy()
