"""The symbol of a circular convolution: everything about the operator from C x C matrices, one a frequency.

With circular padding a convolution is block-diagonal in the Fourier basis. For a kernel `w` (C_out, C_in, kh, kw) on images H x W,

    Y(f) = S(f) X(f),    S(f) = sum_k w[k] exp(2 pi i (f_1 (k_1 - c_1) / H + f_2 (k_2 - c_2) / W)),    c = kernel centre,

so that singular values, determinant and inverse follow frequency by frequency (Sedghi, Gupta and Long, ICLR 2019, 1805.10408). Kernels are
real, hence S(-f) = conj(S(f)) and half of the frequencies (those of `rfft2`) carry all.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import SingularError


def symbol(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Symbol (H, W // 2 + 1, C_out, C_in), complex, of a kernel (C_out, C_in, kh, kw) with odd kh, kw on images of `size` (H, W)."""
    rows = _phases(size[0], size[0], weight.shape[2], weight)
    columns = _phases(size[1], size[1] // 2 + 1, weight.shape[3], weight)
    return torch.einsum("oikl,hk,wl->hwoi", weight.to(rows.dtype), rows, columns)


def _phases(period: int, count: int, taps: int, like: Tensor) -> Tensor:
    """exp(2 pi i f (k - centre) / period) as (count, taps)."""
    angles = torch.outer(torch.arange(count, dtype=torch.float64), torch.arange(taps, dtype=torch.float64) - taps // 2) * (2 * math.pi / period)
    return torch.polar(torch.ones_like(angles), angles).to(device=like.device, dtype=like.dtype.to_complex())


def multiplicities(width: int, like: Tensor) -> Tensor:
    """How often each `rfft` column stands in the full spectrum, (W // 2 + 1,): 1 for column 0 and, if W is even, the last; 2 otherwise."""
    counts = torch.full((width // 2 + 1,), 2, dtype=like.real.dtype, device=like.device)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def singular_values(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Singular values (H, W // 2 + 1, C) of the circular convolution on images of `size`, float64, descending in the last axis."""
    return torch.from_numpy(np.linalg.svd(symbol(weight.detach().double(), size).cpu().numpy(), compute_uv=False))


def condition_number(weight: Tensor, size: tuple[int, int]) -> float:
    """Largest over smallest singular value of the circular convolution on images of `size`; infinite if it is singular."""
    values = singular_values(weight, size)
    smallest = values.min().item()
    return values.max().item() / smallest if smallest > 0 else math.inf


class _LogAbsDet(torch.autograd.Function):
    """log |det S| of a batch of complex matrices, with d log|det S| = Re tr(S^-1 dS).

    One inverse serves both directions; on the CPU it is numpy's, since torch's batched complex solvers stall there at some sizes.
    """

    @staticmethod
    def forward(ctx, matrices: Tensor) -> Tensor:
        if matrices.is_cuda:
            value, inverse = torch.linalg.slogdet(matrices)[1], torch.linalg.inv(matrices)
        else:
            array = matrices.detach().numpy()
            value, inverse = torch.from_numpy(np.linalg.slogdet(array)[1]), torch.from_numpy(np.linalg.inv(array))
        ctx.save_for_backward(inverse)
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        return gradient[..., None, None] * inverse.mH


def log_abs_det(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """log |det| of the circular convolution on images of `size`, a scalar: the sum of log |det S(f)| over all frequencies. Differentiable."""
    matrices = symbol(weight, size)
    try:
        logs = _LogAbsDet.apply(matrices)
    except np.linalg.LinAlgError as error:
        raise SingularError(f"a convolution of {weight.shape[0]} channels is singular on {size[0]}x{size[1]} images") from error
    return (logs * multiplicities(size[1], matrices)).sum()


def inverse_symbol(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """S(f)^-1 as (H, W // 2 + 1, C, C) complex128 on the weight's device.

    Raises SingularError where a frequency is lost beyond float64 (condition number over 1e12).
    """
    matrices = symbol(weight.detach().double(), size)
    try:
        inverse = torch.linalg.inv(matrices) if matrices.is_cuda else torch.from_numpy(np.linalg.inv(matrices.numpy()))
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        raise SingularError(f"a convolution of {weight.shape[0]} channels is singular on {size[0]}x{size[1]} images") from error
    bound = torch.linalg.matrix_norm(matrices).max() * torch.linalg.matrix_norm(inverse).max()
    if not bound < 1e12:
        raise SingularError(f"a convolution of {weight.shape[0]} channels is singular to rounding on {size[0]}x{size[1]} images: condition number near {bound:.1e}")
    return inverse


def apply_symbol(matrices: Tensor, x: Tensor) -> Tensor:
    """The operator with symbol `matrices` (H, W // 2 + 1, C_out, C_in) on images (N, C_in, H, W): FFT, one product a frequency, inverse FFT."""
    spectrum = torch.fft.rfft2(x).permute(2, 3, 1, 0)
    return torch.fft.irfft2(torch.matmul(matrices, spectrum).permute(3, 2, 0, 1), s=x.shape[-2:])


def orthogonality_penalty(weight: Tensor) -> Tensor:
    """Mean over all frequencies of |S^H S - I|_F^2, a scalar, exact for every image size that holds the kernel's self-correlation.

    By Parseval it is the squared norm of the kernel correlated with itself minus a delta at the centre (Wang et al., CVPR 2020, 1911.12207).
    """
    kernel = weight.transpose(0, 1)
    correlation = F.conv2d(kernel, kernel, padding=(weight.shape[2] - 1, weight.shape[3] - 1))
    delta = torch.zeros_like(correlation)
    delta[:, :, weight.shape[2] - 1, weight.shape[3] - 1] = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    return (correlation - delta).square().sum()
