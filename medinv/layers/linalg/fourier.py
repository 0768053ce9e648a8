"""Images to frequencies and back, in the order in which small matrices act on them.

A spectrum here is (F, groups, N, c): frequencies first, so that one matrix a frequency and group is
one batched product, and an image (one of N) never meets another. Small tori are transformed by
products with the Fourier matrix, which leave that order behind them and move nothing where the
first image axis is the one contiguous in memory; large ones, and volumes, by FFT and a
transposition. Images are real: the first axis carries half of its frequencies. Complex conjugates
are taken at once (`conj_physical`): compiled programs lose sight of lazy ones.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CHUNK = 2**21  # bytes of planes that an FFT takes at once, to stay near the processor
# sides up to which products with the Fourier matrix were faster than the FFT
MATRIX = {torch.float32: 60, torch.float64: 30}


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
        self.by_matrix = len(size) == 2 and max(torus) <= MATRIX[dtype]
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
        n, width = y.shape[0], y.shape[1] // self.groups
        planes = y.unflatten(1, (self.groups, -1)).transpose(0, 1).transpose(3, -1)
        planes = planes.flatten(0, 2)  # the first image axis last
        spectrum = self._by_matrix(planes) if self.by_matrix else self._by_fft(planes)
        return spectrum.view(-1, self.groups, n, width)

    def inverse(self, spectrum: Tensor) -> Tensor:
        """The images (N, C, *size) of a spectrum."""
        _, groups, n, c = spectrum.shape
        torus = (half(self.torus[0]), *self.torus[1:])
        spectrum = spectrum.view(*torus, -1)
        planes = self._back_by_matrix(spectrum) if self.by_matrix else self._back_by_fft(spectrum)
        images = planes.unflatten(0, (groups, n, c)).transpose(0, 1)
        return images.reshape(n, groups * c, *planes.shape[1:]).transpose(2, -1)

    def _by_matrix(self, planes: Tensor) -> Tensor:
        w, h = planes.shape[1:]
        waves_down = torch.mm(self.rows, planes.reshape(-1, h).t())
        real, imaginary = waves_down.view(2, half(self.torus[0]), -1, w)
        return torch.bmm(self.columns, torch.complex(real, imaginary).mT)

    def _back_by_matrix(self, spectrum: Tensor) -> Tensor:
        columns = torch.bmm(spectrum.mT, self.back_columns)
        planes = torch.stack([columns.real, columns.imag]).view(2 * len(spectrum), -1)
        return torch.mm(planes.t(), self.back_rows).view(-1, *self.size[::-1])

    def _by_fft(self, planes: Tensor) -> Tensor:
        torus, axes = self.torus[::-1], tuple(range(1, planes.ndim))
        kind = planes.dtype.to_complex()
        spectrum = planes.new_empty(half(torus[-1]), *self.torus[1:], len(planes), dtype=kind)
        for some in self._chunks(planes):
            seen = torch.fft.rfftn(planes[some], s=torus, dim=axes)
            spectrum[..., some] = seen.transpose(1, -1).movedim(0, -1)
        return spectrum

    def _back_by_fft(self, spectrum: Tensor) -> Tensor:
        axes = (*range(2, spectrum.ndim), 1)
        cropped = (slice(None), *(slice(side) for side in self.size))
        planes = spectrum.real.new_empty(spectrum.shape[-1], *self.size[::-1])
        for some in self._chunks(planes):
            seen = spectrum[..., some].movedim(-1, 0).contiguous()
            back = torch.fft.irfftn(seen, s=[self.torus[a - 1] for a in axes], dim=axes)
            planes[some] = back[cropped].transpose(1, -1)
        return planes

    def _chunks(self, planes: Tensor) -> Iterator[slice]:
        count = max(1, CHUNK // (math.prod(self.torus) * planes.element_size()))
        for first in range(0, len(planes), count):
            yield slice(first, first + count)


def multiply(spectrum: Tensor, matrices: Tensor) -> Tensor:
    """Each row (c,) of `spectrum` (F, g, N, c) times its matrix (F, g, c, c')."""
    if matrices.shape[-1] == matrices.shape[-2] == 1:
        return spectrum * matrices
    product = torch.bmm(spectrum.flatten(0, 1), matrices.flatten(0, 1))
    return product.unflatten(0, spectrum.shape[:2])
