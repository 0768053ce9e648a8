"""Images to frequencies and back, in the order in which small matrices act on them.

A spectrum here is (F, groups, N, c): frequencies first, so that one matrix a frequency and group is
one batched product, and an image (one of N) never meets another. Small tori are transformed by
products with the Fourier matrix, which leave that order behind them and move nothing where the
first image axis is the one contiguous in memory; large ones, and volumes, by FFT and a
transposition. Images are real: the first axis carries half of its frequencies. Complex conjugates
are taken at once (`conj_physical`): compiled programs lose sight of lazy ones.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MATRIX = 60  # sides up to which products with the Fourier matrix were faster than the FFT


def half(period: int) -> int:
    """How many frequencies of an axis of `period` a real signal needs."""
    return period // 2 + 1


def waves(frequencies: Tensor, positions: Tensor, period: int, sign: int) -> Tensor:
    """exp(sign 2 pi i f p / period) as (frequencies, positions), complex128."""
    turns = torch.outer(frequencies.double(), positions.double()).remainder(period)
    angles = turns * (2 * math.pi / period)
    return torch.polar(torch.ones_like(angles), sign * angles)


def multiplicities(period: int, device: torch.device | None = None) -> Tensor:
    """How often each half frequency stands in the spectrum: once where it is its own mirror."""
    counts = torch.full((half(period),), 2.0, dtype=torch.float64, device=device)
    counts[0].fill_(1)
    if period % 2 == 0:
        counts[-1].fill_(1)
    return counts


class Fourier:
    """The transform of images of `size`, set into a torus, in the real `dtype`.

    Shapes: `forward` (N, C, *size) -> (F, groups, N, C / groups), F = half(torus[0]) torus[1] ...;
    `inverse` goes back and crops to `size`.
    """

    def __init__(
        self,
        size: Sequence[int],
        torus: Sequence[int],
        groups: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.size, self.torus, self.groups = tuple(size), tuple(torus), groups
        self.by_matrix = len(size) == 2 and max(torus) <= MATRIX
        if self.by_matrix:
            matrices = self._matrices(dtype)
            self.rows, self.columns, self.back_columns, self.back_rows = (
                m.to(device) for m in matrices
            )

    def _matrices(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        (h, w), (t1, t2) = self.size, self.torus
        f1, f2 = torch.arange(half(t1)), torch.arange(t2)
        out = waves(f1, torch.arange(h), t1, -1)
        back = waves(torch.arange(h), f1, t1, 1) * (multiplicities(t1) / t1)
        complex_type = dtype.to_complex()
        forth, home = (
            (waves(f2, torch.arange(w), t2, sign) / over).to(complex_type).expand(len(f1), -1, -1)
            for sign, over in ((-1, 1), (1, t2))
        )
        rows, back_rows = torch.cat([out.real, out.imag]), torch.cat([back.real, -back.imag], 1)
        return rows.to(dtype), forth, home, back_rows.mT.to(dtype).contiguous()

    def forward(self, y: Tensor) -> Tensor:
        """The spectrum of `y`."""
        n = y.shape[0]
        if not self.by_matrix:
            axes = (*range(3, y.ndim), 2)
            spectrum = torch.fft.rfftn(y, s=[self.torus[a - 2] for a in axes], dim=axes)
            return self._frequencies_first(spectrum.flatten(2))
        h, w = self.size
        pixels = self._groups_first(y.transpose(2, 3)).reshape(-1, h)
        planes = torch.mm(self.rows, pixels.t()).view(2, half(self.torus[0]), -1, w)
        spectrum = torch.bmm(self.columns, torch.complex(planes[0], planes[1]).mT)
        return spectrum.view(-1, self.groups, n, y.shape[1] // self.groups)

    def inverse(self, spectrum: Tensor) -> Tensor:
        """The images (N, C, *size) of a spectrum."""
        _, groups, n, c = spectrum.shape
        if not self.by_matrix:
            half_torus = (half(self.torus[0]), *self.torus[1:])
            planes = self._images_first(spectrum).view(n, groups * c, *half_torus)
            axes = (*range(3, planes.ndim), 2)
            y = torch.fft.irfftn(planes, s=[self.torus[a - 2] for a in axes], dim=axes)
            return y[(..., *(slice(side) for side in self.size))]
        (h, w), (t1, t2) = self.size, self.torus
        columns = torch.bmm(spectrum.view(half(t1), t2, -1).mT, self.back_columns)
        planes = torch.stack([columns.real, columns.imag]).view(2 * half(t1), -1)
        pixels = torch.mm(planes.t(), self.back_rows).view(groups, n, c, w, h)
        return pixels.transpose(0, 1).reshape(n, groups * c, w, h).transpose(2, 3)

    def _groups_first(self, y: Tensor) -> Tensor:
        """(N, C, ...) as (groups, N, c, ...)."""
        return y.unflatten(1, (self.groups, -1)).transpose(0, 1)

    def _frequencies_first(self, planes: Tensor) -> Tensor:
        """(N, C, F) as (F, groups, N, c), contiguous."""
        n, channels, count = planes.shape
        if self.groups == 1:  # a plain transposition, which the framework moves fastest
            return planes.reshape(n * channels, count).t().contiguous().view(count, 1, n, channels)
        return planes.unflatten(1, (self.groups, -1)).permute(3, 1, 0, 2).contiguous()

    def _images_first(self, spectrum: Tensor) -> Tensor:
        """(F, groups, N, c) as (N, C, F), contiguous."""
        count, groups, n, c = spectrum.shape
        if groups == 1:
            return spectrum.view(count, n * c).t().contiguous().view(n, c, count)
        return spectrum.permute(2, 1, 3, 0).reshape(n, groups * c, count)


def multiply(spectrum: Tensor, matrices: Tensor) -> Tensor:
    """Each row (c,) of `spectrum` (F, g, N, c) times its matrix (F, g, c, c')."""
    if matrices.shape[-1] == matrices.shape[-2] == 1:
        return spectrum * matrices
    product = torch.bmm(spectrum.flatten(0, 1), matrices.flatten(0, 1))
    return product.unflatten(0, spectrum.shape[:2])
