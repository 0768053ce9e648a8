"""The symbol of a circular convolution: everything about the operator from small matrices, one a frequency.

With circular padding a convolution is block-diagonal in the Fourier basis. For a kernel `w` (C_out, C_in, k_1, ..., k_d) on images n_1 x ... x n_d,

    Y(f) = S(f) X(f),    S(f) = sum_k w[k] exp(2 pi i sum_j f_j (k_j - c_j) / n_j),    c = kernel centre,

so that singular values, determinant and inverse follow frequency by frequency (Sedghi, Gupta and Long, ICLR 2019, 1805.10408). Kernels are
real, hence S(-f) = conj(S(f)) and half of the frequencies (those of `rfftn`) carry all. With `groups` > 1 each S(f) is block-diagonal and only its
blocks are kept: one more axis, before the matrix axes.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import SingularError

LOST = 1e12  # condition number beyond which float64 has nothing left to solve with


def by_groups(weight: Tensor, groups: int) -> Tensor:
    """A kernel (C_out, C_in / groups, *k) as (groups, C_out / groups, C_in / groups, *k)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def symbol(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """Symbol (n_1, ..., n_d // 2 + 1, [groups,] C_out / groups, C_in / groups), complex, of a kernel with odd sides on images of `size`."""
    last = len(size) - 1
    result = by_groups(weight, groups).to(weight.dtype.to_complex())
    for axis, period in enumerate(
        size
    ):  # each pass turns the first kernel axis into the last frequency axis
        count = period // 2 + 1 if axis == last else period
        result = torch.tensordot(
            result, _phases(period, count, weight.shape[2 + axis], weight), dims=([3], [1])
        )
    result = result.permute(*range(3, result.ndim), 0, 1, 2)
    return result.squeeze(-3) if groups == 1 else result


def _phases(period: int, count: int, taps: int, like: Tensor) -> Tensor:
    """exp(2 pi i f (k - centre) / period) as (count, taps)."""
    angles = torch.outer(
        torch.arange(count, dtype=torch.float64),
        torch.arange(taps, dtype=torch.float64) - taps // 2,
    ) * (2 * math.pi / period)
    return torch.polar(torch.ones_like(angles), angles).to(
        device=like.device, dtype=like.dtype.to_complex()
    )


def multiplicities(width: int, like: Tensor) -> Tensor:
    """How often each `rfft` column stands in the full spectrum, (width // 2 + 1,): 1 for column 0 and, if width is even, the last; 2 otherwise."""
    counts = torch.full((width // 2 + 1,), 2, dtype=like.real.dtype, device=like.device)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def singular_values(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """Singular values (n_1, ..., n_d // 2 + 1, [groups,] C / groups) of the circular convolution, float64, descending in the last axis."""
    return torch.from_numpy(
        np.linalg.svd(
            symbol(weight.detach().double().cpu(), size, groups).numpy(), compute_uv=False
        )
    )


def condition_number(weight: Tensor, size: Sequence[int], groups: int = 1) -> float:
    """Largest over smallest singular value of the circular convolution on images of `size`; infinite if it is singular."""
    values = singular_values(weight, size, groups)
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
            value, inverse = (
                torch.from_numpy(np.linalg.slogdet(array)[1]),
                torch.from_numpy(np.linalg.inv(array)),
            )
        ctx.save_for_backward(inverse)
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        return gradient[..., None, None] * inverse.mH


class Inverse(torch.autograd.Function):
    """S^-1 of a batch of complex matrices, with dS^-1 = -S^-1 dS S^-1; numpy's on the CPU, for the reason given above."""

    @staticmethod
    def forward(ctx, matrices: Tensor) -> Tensor:
        inverse = (
            torch.linalg.inv(matrices)
            if matrices.is_cuda
            else torch.from_numpy(np.linalg.inv(matrices.detach().numpy()))
        )
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        return -inverse.mH @ gradient @ inverse.mH


def log_abs_det(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """log |det| of the circular convolution on images of `size`, a scalar: the sum of log |det S(f)| over all frequencies. Differentiable."""
    return _total_log_det(symbol(weight, size, groups), weight, size)


def log_volume(weight: Tensor, size: Sequence[int]) -> Tensor:
    """1/2 log det A^T A of a circular convolution to more channels, a scalar. Differentiable."""
    matrices = symbol(weight, size)
    return 0.5 * _total_log_det(matrices.mH @ matrices, weight, size)


def _total_log_det(matrices: Tensor, weight: Tensor, size: Sequence[int]) -> Tensor:
    try:
        logs = _LogAbsDet.apply(matrices)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        raise SingularError(_lost(weight, size)) from error
    logs = logs.flatten(len(size)).sum(-1) if logs.ndim > len(size) else logs
    return (logs * multiplicities(size[-1], matrices)).sum()


def inverse_symbol(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """S(f)^-1, shaped as the symbol, complex128 on the weight's device.

    Raises SingularError where a frequency is lost beyond float64 (condition number over 1e12).
    """
    matrices = symbol(weight.detach().double(), size, groups)
    try:
        inverse = Inverse.apply(matrices)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        raise SingularError(_lost(weight, size)) from error
    bound = (
        torch.linalg.matrix_norm(matrices).max() * torch.linalg.matrix_norm(inverse).max()
    ).item()
    if not bound < LOST:
        raise SingularError(f"{_lost(weight, size)}: condition number near {bound:.1e}")
    return inverse


def _lost(weight: Tensor, size: Sequence[int]) -> str:
    sides = "x".join(map(str, size))
    return f"a convolution of {weight.shape[0]} channels is singular to rounding on {sides} images; `null_directions` names what is lost"


def apply_symbol(matrices: Tensor, x: Tensor, groups: int = 1) -> Tensor:
    """The operator with symbol `matrices` on images (N, C_in, *size): FFT, one product a frequency, inverse FFT."""
    axes = tuple(range(2, x.ndim))
    spectrum = torch.fft.rfftn(x, dim=axes)
    product = product_by_frequency(matrices, spectrum, groups)
    return torch.fft.irfftn(product, s=x.shape[2:], dim=axes)


def product_by_frequency(matrices: Tensor, spectrum: Tensor, groups: int = 1) -> Tensor:
    """`matrices` (*frequencies, [groups,] C_out, C_in) times `spectrum` (N, C_in, *frequencies), shaped (N, C_out, *frequencies)."""
    d, n = spectrum.ndim - 2, spectrum.shape[0]
    if (
        groups == 1
    ):  # plain transposes of two axes are what the framework moves fastest; products of other layouts would go one by one
        rows = spectrum.flatten(2).flatten(0, 1).t().contiguous().unflatten(1, (n, -1))
        product = torch.bmm(rows, matrices.flatten(0, d - 1).mT)
        return product.flatten(1).t().contiguous().reshape(n, -1, *spectrum.shape[2:])
    if (
        matrices.shape[-1] == matrices.shape[-2] == 1
    ):  # depthwise: one number a channel and frequency
        return spectrum * matrices[..., 0, 0].permute(d, *range(d))
    split = spectrum.unflatten(1, (groups, -1)).permute(*range(3, 3 + d), 1, 2, 0).contiguous()
    return torch.matmul(matrices, split).flatten(d, d + 1).permute(d + 1, d, *range(d))


def orthogonality_penalty(weight: Tensor, groups: int = 1) -> Tensor:
    """Mean over all frequencies of |S^H S - I|_F^2, a scalar, exact for every image size that holds the kernel's self-correlation.

    By Parseval it is the squared norm of the kernel correlated with itself minus a delta at the centre (Wang et al., CVPR 2020, 1911.12207).
    """
    centre = [side - 1 for side in weight.shape[2:]]
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(centre) - 1]
    kernel = by_groups(weight, groups).transpose(1, 2)  # (groups, in, out, *k)
    correlation = conv(
        kernel.transpose(0, 1).flatten(1, 2), kernel.flatten(0, 1), padding=centre, groups=groups
    )
    delta = torch.zeros_like(correlation)
    delta[(..., *centre)] = torch.eye(
        weight.shape[1], dtype=weight.dtype, device=weight.device
    ).repeat(1, groups)
    return (correlation - delta).square().sum()
