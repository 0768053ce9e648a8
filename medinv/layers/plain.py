"""Networks without what ties them to this library: inverses of real matrices alone.

`torch.export` and ONNX take a program of plain products. Layers here keep factors for the sizes
that they meet, and solve in complex numbers with a word from numpy: so a copy is made whose
convolutions, for one image size, hold their inverses and log-determinants as real constants.
"""

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medinv.layers.conv import InvertibleConv
from medinv.layers.injective import InjectiveConv2d
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.fourier import half, multiplicities, waves

DENSE = 4096  # unknowns a group up to which a padded convolution is inverted as one matrix


@torch.no_grad()
def plain(network: nn.Module, example: Tensor) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of `network` for images of the size of `example` (N, C, *size), for an exporter.

    Returns it with the names of the convolutions whose inverse stays `medinv::solve_convolution`:
    those under other than circular padding with more than 4,096 unknowns a group. A program with
    one runs where `medinv.layers` is imported, and nowhere else.
    Raises SingularError where a convolution has no inverse.
    """
    made = copy.deepcopy(network).eval()
    met: dict[str, Tensor] = {}
    layers = {
        name: layer
        for name, layer in made.named_modules()
        if isinstance(layer, InvertibleConv | InjectiveConv2d)
    }
    hooks = [
        layer.register_forward_pre_hook(partial(_meet, met, name)) for name, layer in layers.items()
    ]
    made(example)
    for hook in hooks:
        hook.remove()
    kept = []
    for name, x in met.items():
        layer = layers[name]
        _with_constant_log_det(layer, layer.log_det(x[:1]))
        inverse = _inverse_of(layer, tuple(x.shape[2:]))
        if inverse is None:
            kept.append(name)
        else:
            layer.plain_inverse = inverse.to(x.dtype)
            layer.inverse = partial(_solve, layer)  # type: ignore[method-assign]
    return made, tuple(kept)


def _meet(met: dict[str, Tensor], name: str, layer: nn.Module, given: tuple[Tensor, ...]) -> None:
    met[name] = given[0]


def _with_constant_log_det(layer: nn.Module, value: Tensor) -> None:
    layer.register_buffer("plain_log_det", value.clone())
    layer.log_det = lambda x: layer.plain_log_det.expand(x.shape[0])  # type: ignore


def _solve(layer: Any, y: Tensor) -> Tensor:
    bias, inverse = layer.bias, layer.plain_inverse
    if bias is not None:
        y = y - bias.reshape(-1, *[1] * (y.ndim - 2))
    return inverse(y)


def _inverse_of(layer: InvertibleConv | InjectiveConv2d, size: tuple[int, ...]) -> nn.Module | None:
    if isinstance(layer, InjectiveConv2d):
        matrices = symbols.half_first(layer.weight.detach().double().cpu(), size)
        inverse = np.linalg.pinv(matrices.resolve_conj().numpy())  # least squares
        return FrequencyProducts(torch.from_numpy(inverse), size)
    kernel = layer.kernel().detach().double().cpu()
    if pads.effective(kernel.shape[2:], layer.padding) == "circular":
        return FrequencyProducts(symbols.inverse_symbol(kernel, size, layer.groups), size)
    unknowns = kernel.shape[1] * math.prod(size)
    return DenseInverse(kernel, size, layer.padding, layer.groups) if unknowns <= DENSE else None


class FrequencyProducts(nn.Module):
    """One matrix a frequency on images, in real arithmetic: an inverse circular convolution.

    `matrices` (half(n_1), n_2, ..., groups, c_out, c_in) complex; images (N, groups c_in, *size) to
    (N, groups c_out, *size). Each axis is transformed by a product with its Fourier matrix, real
    and imaginary parts beside each other.
    """

    blocks: Tensor  # (F, groups, 2 c_in, 2 c_out)
    there: Tensor  # (2 half(n_1), n_1)
    back: Tensor  # (n_1, 2 half(n_1))

    def __init__(self, matrices: Tensor, size: Sequence[int]):
        super().__init__()
        self.size, self.groups = tuple(size), matrices.shape[-3]
        real, imaginary = matrices.real.mT, matrices.imag.mT  # to stand on the right of rows
        blocks = torch.cat(
            [torch.cat([real, imaginary], -1), torch.cat([-imaginary, real], -1)], -2
        )
        self.register_buffer("blocks", blocks.flatten(0, -4).contiguous())
        first, *others = self.size
        there = waves(torch.arange(half(first)), torch.arange(first), first, -1)
        back = waves(torch.arange(first), torch.arange(half(first)), first, 1)
        back = back * (multiplicities(first) / first)
        self.register_buffer("there", torch.cat([there.real, there.imag]).contiguous())
        self.register_buffer("back", torch.cat([back.real, -back.imag], 1).contiguous())
        for axis, side in enumerate(others):
            angles = waves(torch.arange(side), torch.arange(side), side, -1)
            self.register_buffer(f"cosines_{axis}", angles.real.contiguous())
            self.register_buffer(f"sines_{axis}", -angles.imag.contiguous())

    def forward(self, y: Tensor) -> Tensor:
        """(N, groups c_in, *size) to (N, groups c_out, *size)."""
        first, *others = self.size
        planes = self.there @ y.flatten(3)  # (N, C, 2 half, rest)
        planes = planes.unflatten(2, (2, half(first))).unflatten(4, tuple(others))
        for axis in range(len(others)):
            planes = self._turned(planes, axis, -1)
        spectrum = planes.flatten(3).unflatten(1, (self.groups, -1))  # (N, g, c, 2, F)
        rows = spectrum.permute(4, 1, 0, 3, 2).flatten(3)  # (F, g, N, 2 c)
        product = torch.matmul(rows, self.blocks).unflatten(3, (2, -1))
        planes = product.permute(2, 1, 4, 3, 0).flatten(1, 2)  # (N, C', 2, F)
        planes = planes.unflatten(3, (half(first), *others))
        for axis, side in enumerate(others):
            planes = self._turned(planes, axis, 1) / side
        joined = planes.flatten(2, 3).flatten(3)  # (N, C', 2 half, rest)
        return (self.back @ joined).unflatten(3, tuple(others))

    def _turned(self, planes: Tensor, axis: int, sign: int) -> Tensor:
        """exp(sign 2 pi i f p / n) along an axis of planes (N, C, 2, half, *others)."""
        last = planes.movedim(4 + axis, -1)
        cosines, sines = getattr(self, f"cosines_{axis}"), getattr(self, f"sines_{axis}")
        by_cosine, by_sine = last @ cosines, sign * (last @ sines)
        real = by_cosine[:, :, 0] - by_sine[:, :, 1]
        imaginary = by_cosine[:, :, 1] + by_sine[:, :, 0]
        return torch.stack([real, imaginary], 2).movedim(-1, 4 + axis)


class DenseInverse(nn.Module):
    """The inverse of a convolution on small images under any padding, as one matrix a group."""

    matrices: Tensor  # (groups, c H W, c H W)

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int):
        super().__init__()
        self.groups, self.size = groups, tuple(size)
        with symbols.singular_means_lost(weight, size):
            inverses = [
                torch.linalg.inv(pads.matrix(part, size, padding)).T
                for part in symbols.by_groups(weight, groups)
            ]
        self.register_buffer("matrices", torch.stack(inverses).contiguous())

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, *size) both ways."""
        rows = y.unflatten(1, (self.groups, -1)).flatten(2).transpose(0, 1)  # (g, N, c H W)
        solved = torch.bmm(rows, self.matrices).transpose(0, 1)
        return solved.unflatten(2, (-1, *self.size)).flatten(1, 2)
