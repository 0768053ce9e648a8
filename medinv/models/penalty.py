"""The pull of inverted kernels towards an isometry, taken as a step of its own: it does not pass through the optimiser, as decoupled weight decay does not."""

import math

import torch
from torch import Tensor, nn

from medinv.layers import InvertibleConv2d, InvertibleConv3d

FREQUENCIES = 4  # drawn a step


@torch.no_grad()
def towards_isometry(model: nn.Module, rate: float) -> None:
    """One gradient step, of length `rate` for kernels 3x3 and in proportion for others, on an unbiased estimate of the mean over all frequencies of |S^H S - I|_F^2 for every inverted kernel.

    S(f) = sum_k w[k] exp(i f.k) is the symbol of `layers.spectral`; `layers.spectral.orthogonality_penalty` is the same mean exactly, at the price of a
    convolution of the kernel with itself, which here would cost as much as the images. The gradient is 4 Re(S (S^H S - I) exp(-i f.k)).
    """
    for module in model.modules():
        if isinstance(module, InvertibleConv2d | InvertibleConv3d):
            share = 9 / module.weight[0, 0].numel()  # at one frequency all taps pull together
            module.weight.sub_(_gradient(module.weight), alpha=rate * share)


def _gradient(weight: Tensor) -> Tensor:
    """The gradient of the estimate, shaped as the kernel (C_out, C_in, *k)."""
    sides = weight.ndim - 2
    taps = torch.cartesian_prod(*[torch.arange(side) - side // 2 for side in weight.shape[2:]]).reshape(-1, sides).to(weight)
    angles = torch.rand(FREQUENCIES, sides, dtype=weight.dtype, device=weight.device) * (2 * math.pi) @ taps.T  # (F, taps)
    kernel = weight.flatten(2).permute(2, 0, 1).flatten(1).contiguous()  # (taps, C_out C_in)
    real, imaginary = ((phase @ kernel).unflatten(1, weight.shape[:2]) for phase in (angles.cos(), angles.sin()))
    # products of real matrices: the framework's complex ones are several times slower
    gram_real = real.mT @ real + imaginary.mT @ imaginary - torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    gram_imaginary = real.mT @ imaginary - imaginary.mT @ real
    slope_real, slope_imaginary = real @ gram_real - imaginary @ gram_imaginary, real @ gram_imaginary + imaginary @ gram_real
    gradient = angles.cos().T @ slope_real.flatten(1) + angles.sin().T @ slope_imaginary.flatten(1)
    return (4 / FREQUENCIES) * gradient.unflatten(1, weight.shape[:2]).permute(1, 2, 0).reshape(weight.shape)
