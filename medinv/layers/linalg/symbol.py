"""The symbol of a circular convolution: everything about the operator from small matrices, one a
frequency.

With circular padding a convolution is block-diagonal in the Fourier basis. For a kernel `w` (C_out,
C_in, k_1, ..., k_d) on images n_1 x ... x n_d,

    Y(f) = S(f) X(f),    S(f) = sum_k w[k] exp(2 pi i sum_j f_j (k_j - c_j) / n_j),

c the kernel's centre,

so that singular values, determinant and inverse follow frequency by frequency (Sedghi, Gupta and
Long, ICLR 2019, 1805.10408). Kernels are real, hence S(-f) = conj(S(f)) and half of the frequencies
(those of `rfftn`) carry all. With `groups` > 1 each S(f) is block-diagonal and only its blocks are
kept: one more axis, before the matrix axes.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import SingularError
from medinv.layers.linalg import padding as pads

ONE_BY_ONE = 24  # channels from which a loop over LAPACK's own factors is quicker than a batch
BLOCKED = 96  # and from which torch's are
_unseen = ContextVar("unseen", default=False)
LOST = 1e12  # condition number beyond which float64 has nothing left to solve with


@contextmanager
def unseen() -> Iterator[None]:
    """Within it nothing is chosen by the values of weights, as the capture of a CUDA graph asks:
    determinants of circular convolutions are taken on images of their own size, by products alone,
    and a singular one is seen in what comes of it.
    """
    before = _unseen.set(True)
    try:
        yield
    finally:
        _unseen.reset(before)


def values_are_unseen() -> bool:
    """Whether that is so now."""
    return _unseen.get()


def at_least_single(weight: Tensor) -> Tensor:
    """Weights of 16 bits as float32, others as they are."""
    return weight.to(torch.promote_types(weight.dtype, torch.float32))


def by_groups(weight: Tensor, groups: int) -> Tensor:
    """A kernel (C_out, C_in / groups, *k) as (groups, C_out / groups, C_in / groups, *k)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def symbol(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """Symbol (n_1, ..., n_d // 2 + 1, [groups,] C_out / groups, C_in / groups), complex, of a
    kernel with odd sides on images of `size`.
    """
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
    frequencies, places = (torch.arange(n, device=like.device).double() for n in (count, taps))
    angles = torch.outer(frequencies, places - taps // 2) * (2 * math.pi / period)
    return torch.polar(torch.ones_like(angles), angles).to(like.dtype.to_complex())


def multiplicities(width: int, like: Tensor) -> Tensor:
    """How often each `rfft` column stands in the full spectrum, (width // 2 + 1,): 1 for column 0
    and, if width is even, the last; 2 otherwise.
    """
    counts = torch.full((width // 2 + 1,), 2, dtype=like.real.dtype, device=like.device)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def singular_values(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """Singular values (n_1, ..., n_d // 2 + 1, [groups,] C / groups) of the circular convolution,
    float64, descending in the last axis.
    """
    return torch.from_numpy(
        np.linalg.svd(
            symbol(weight.detach().double().cpu(), size, groups).numpy(), compute_uv=False
        )
    )


def condition_number(weight: Tensor, size: Sequence[int], groups: int = 1) -> float:
    """Largest over smallest singular value of the circular convolution on images of `size`;
    infinite if it is singular.
    """
    values = singular_values(weight, size, groups)
    smallest = values.min().item()
    return values.max().item() / smallest if smallest > 0 else math.inf


class InverseAndLogDet(torch.autograd.Function):
    """S^-1 and log |det S| of a batch of complex matrices, differentiable to every order.

    dS^-1 = -S^-1 dS S^-1 and d log|det S| = Re tr(S^-1 dS), so that one inverse serves both. On the
    CPU it is LAPACK's, since torch's batched complex solvers stall there where other work shares
    the cores.
    """

    @staticmethod
    def forward(matrices: Tensor) -> tuple[Tensor, Tensor]:
        """(..., c, c) complex -> (..., c, c) complex and (...) real."""
        return inverse_and_logs(matrices)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Keep the inverse for the derivatives."""
        ctx.save_for_backward(output[0])
        ctx.save_for_forward(output[0])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, to_inverse: Tensor | None, to_log: Tensor | None) -> Tensor | None:
        """The adjoint of the differentials above."""
        adjoint = ctx.saved_tensors[0].mH.resolve_conj()
        direct = None if to_log is None else to_log[..., None, None] * adjoint
        if to_inverse is None:
            return direct
        through = adjoint @ to_inverse @ adjoint
        return -through if direct is None else direct - through

    @staticmethod
    def jvp(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor]:
        """The differentials above."""
        relative = ctx.saved_tensors[0] @ change
        trace = relative.diagonal(dim1=-2, dim2=-1).sum(-1).real
        return -relative @ ctx.saved_tensors[0], trace

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], matrices: Tensor) -> tuple[Any, tuple[int, int]]:
        """A batch of batches."""
        return InverseAndLogDet.apply(matrices.movedim(in_dims[0], 0)), (0, 0)


def inverse_and_logs(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """S^-1 and log |det S|, without derivatives. Raises LinAlgError where S is singular."""
    matrices, c = matrices.detach().resolve_conj(), matrices.shape[-1]
    if matrices.is_cuda:
        return _on_device(matrices)
    if c < ONE_BY_ONE:  # numpy's batches factorise twice, which is quicker than a loop in Python
        return _inverse(matrices), log_abs_dets(matrices)
    if c < BLOCKED:
        return _one_by_one(matrices)
    factors, pivots = torch.linalg.lu_factor(matrices)
    logs = factors.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    unit = torch.eye(c, dtype=matrices.dtype).expand_as(matrices)
    return torch.linalg.lu_solve(factors, pivots, unit), logs


def _one_by_one(matrices: Tensor) -> tuple[Tensor, Tensor]:
    from scipy.linalg import get_lapack_funcs  # a tenth of the start of who needs none

    stack = matrices.numpy().reshape(-1, *matrices.shape[-2:])
    inverse, logs = np.empty_like(stack), np.empty(len(stack), stack.real.dtype)
    factorise, invert = get_lapack_funcs(("getrf", "getri"), (stack,))
    for i, matrix in enumerate(stack):  # transposed, as LAPACK stores them
        factors, pivots, failed = factorise(matrix.T)
        if failed:
            raise np.linalg.LinAlgError("a matrix is singular")
        logs[i] = np.log(np.abs(factors.diagonal())).sum()
        inverse[i] = invert(factors, pivots, overwrite_lu=True)[0].T
    shape = matrices.shape
    return torch.from_numpy(inverse).view(shape), torch.from_numpy(logs).view(shape[:-2])


def _on_device(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Both from one factorisation."""
    if _unseen.get():
        return by_elimination(matrices)
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrices)
    logs = factors.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    if bool(torch.isneginf(logs).any()):
        raise np.linalg.LinAlgError("a matrix is singular")
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    return torch.linalg.lu_solve(factors, pivots, unit.expand_as(matrices)), logs


def by_elimination(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Both by products alone, in complex128: S^-1 = (S^H S)^-1 S^H and log |det S| is half of that
    of S^H S, which Gauss and Jordan's elimination takes without pivots (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, ch. 14).
    """
    wide, c = matrices.to(torch.complex128), matrices.shape[-1]
    unit = torch.eye(c, dtype=wide.dtype, device=wide.device)
    rows = torch.cat([wide.mH @ wide, unit.expand_as(wide)], -1)
    squares = []
    for k in range(c):
        squares.append(rows[..., k, k].real.clone())
        row = rows[..., k : k + 1, :] / rows[..., k : k + 1, k : k + 1]
        rest = rows[..., :, k : k + 1] - unit[:, k : k + 1]
        rows = torch.addcmul(rows, rest, row, value=-1)
    inverse = rows[..., c:] @ wide.mH
    logs = torch.stack(squares, -1).log().sum(-1) / 2
    return inverse.to(matrices.dtype), logs.to(matrices.real.dtype)


def inverse_alone(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """As `InverseAndLogDet`, without derivatives and with NaN for the determinants."""
    logs = torch.full(matrices.shape[:-2], math.nan, dtype=matrices.real.dtype)
    return _inverse(matrices.detach()), logs.to(matrices.device)


def log_abs_dets(matrices: Tensor) -> Tensor:
    """log |det| (...) of matrices (..., c, c), without derivatives. Raises LinAlgError at 0."""
    if matrices.is_cuda:
        logs = torch.linalg.slogdet(matrices)[1]
    elif matrices.shape[-1] == 1:
        logs = matrices.detach()[..., 0, 0].abs().log()
    else:
        logs = torch.from_numpy(np.linalg.slogdet(matrices.detach().resolve_conj().numpy())[1])
    if bool(torch.isneginf(logs).any()):
        raise np.linalg.LinAlgError("a matrix is singular")
    return logs


def log_volume(weight: Tensor, size: Sequence[int]) -> Tensor:
    """1/2 log det A^T A of a circular convolution to more channels, a scalar. Differentiable."""
    matrices = symbol(weight, size)
    return 0.5 * _total_log_det(matrices.mH @ matrices, weight, size)


def _total_log_det(matrices: Tensor, weight: Tensor, size: Sequence[int]) -> Tensor:
    with singular_means_lost(weight, size):
        logs = log_abs_dets(matrices) if not torch.is_grad_enabled() else None
        logs = InverseAndLogDet.apply(matrices)[1] if logs is None else logs
    logs = logs.flatten(len(size)).sum(-1) if logs.ndim > len(size) else logs
    return (logs * multiplicities(size[-1], matrices)).sum()


def half_first(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """The symbol as (n_1 // 2 + 1, n_2, ..., groups, c, c): half of the first axis, and groups
    always.
    """
    d = len(size)
    moved = weight.movedim(2, -1)  # the first image axis last
    matrices = symbol(moved, (*size[1:], size[0]), groups)
    if groups == 1:
        matrices = matrices.unsqueeze(d)
    return matrices.movedim(d - 1, 0)


def inverse_symbol(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """S(f)^-1, shaped as `half_first`, complex128 on the weight's device.

    Raises SingularError where a frequency is lost beyond float64 (condition number over 1e12).
    """
    matrices = half_first(weight.detach().double(), size, groups)
    with singular_means_lost(weight, size):
        inverse = _inverse(matrices)
    norms = [torch.linalg.vector_norm(m, dim=(-2, -1)).max() for m in (matrices, inverse)]
    bound = (norms[0] * norms[1]).item()
    if not bound < LOST:
        raise SingularError(f"{_lost(weight, size)}: condition number near {bound:.1e}")
    return inverse


def clipped_inverse(weight: Tensor, size: Sequence[int], groups: int = 1) -> Tensor:
    """`inverse_symbol` with singular values below 1e-2 of the largest raised to that."""
    matrices = half_first(weight.detach().double().cpu(), size, groups)
    u, values, v = np.linalg.svd(matrices.resolve_conj().numpy())
    values = np.maximum(values, 1e-2 * values.max())
    inverse = (v.conj().swapaxes(-1, -2) / values[..., None, :]) @ u.conj().swapaxes(-1, -2)
    return torch.from_numpy(inverse).to(weight.device)


def _inverse(matrices: Tensor) -> Tensor:
    c = matrices.shape[-1]
    if c == 1:
        return 1 / matrices
    if matrices.is_cuda or c >= BLOCKED:
        return torch.linalg.inv(matrices)
    if c >= ONE_BY_ONE:
        return _one_by_one(matrices.resolve_conj())[0]
    return torch.from_numpy(np.linalg.inv(matrices.resolve_conj().numpy()))


@contextmanager
def singular_means_lost(weight: Tensor, size: Sequence[int]) -> Iterator[None]:
    """Turn a failed factorisation into a SingularError."""
    try:
        yield
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        raise SingularError(_lost(weight, size)) from error


def _lost(weight: Tensor, size: Sequence[int]) -> str:
    sides = "x".join(map(str, size))
    what = f"a convolution of {weight.shape[0]} channels is singular to rounding on {sides} images"
    return f"{what}; `null_directions` names what is lost"


def apply_symbol(matrices: Tensor, x: Tensor, groups: int = 1) -> Tensor:
    """The operator with symbol `matrices` on images (N, C_in, *size): FFT, one product a frequency,
    inverse FFT.
    """
    if not x.shape[0]:
        return x.new_zeros(0, groups * matrices.shape[-2], *x.shape[2:])
    axes = tuple(range(2, x.ndim))
    spectrum = torch.fft.rfftn(x, dim=axes)
    product = product_by_frequency(matrices, spectrum, groups)
    return torch.fft.irfftn(product, s=x.shape[2:], dim=axes)


def product_by_frequency(matrices: Tensor, spectrum: Tensor, groups: int = 1) -> Tensor:
    """`matrices` (*frequencies, [groups,] C_out, C_in) times `spectrum` (N, C_in, *frequencies),
    shaped (N, C_out, *frequencies).
    """
    d, n = spectrum.ndim - 2, spectrum.shape[0]
    if (
        groups == 1
        # plain transposes of two axes are what the framework moves fastest; products of other
        # layouts
        # would go one by one
    ):
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
    """Mean over all frequencies of |S^H S - I|_F^2, a scalar, exact for every image size that holds
    the kernel's self-correlation.

    By Parseval it is the squared norm of the kernel correlated with itself minus a delta at the
    centre (Wang et al., CVPR 2020, 1911.12207).
    """
    centre = [side - 1 for side in weight.shape[2:]]
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(centre) - 1]
    kernel = by_groups(weight, groups).transpose(1, 2)  # (groups, in, out, *k)
    correlation = conv(
        kernel.transpose(0, 1).flatten(1, 2), kernel.flatten(0, 1), padding=centre, groups=groups
    )
    delta = torch.zeros_like(correlation)
    delta[pads.at(centre)] = torch.eye(
        weight.shape[1], dtype=weight.dtype, device=weight.device
    ).repeat(1, groups)
    return (correlation - delta).square().sum()
