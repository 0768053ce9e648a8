"""The inverse of a circular convolution, kept ready."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medinv.layers.linalg import symbol as symbols

SMALL = 32  # channels (a group) up to which two images packed as one complex image are faster than two half spectra
BLOCK = (
    2**20
)  # bytes of spectrum turned from image order to frequency order at a time, so that they stay in the cache


class Circulant:
    """Solves `C x = y` for a circular convolution C on images of one size.

    The factor is made in float64 and applied in the type of `y`: in float32 its rounding is of the order of the forward pass's own.
    Two real images are one complex image, because C is real: on few channels the plain FFT of such pairs beats the half spectrum.
    """

    def __init__(self, weight: Tensor, size: Sequence[int], groups: int = 1):
        self.size = tuple(size)
        self.groups = groups
        self.half = symbols.inverse_symbol(weight, self.size, groups)
        self._variants: dict[tuple[torch.dtype, bool, bool], Tensor] = {}

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`C^-1 y`, or `C^-T y`, for y (N, C, *size). Not differentiable: see `solve.Solve`."""
        axes = tuple(range(2, y.ndim))
        paired = y.shape[0] % 2 == 0 and self.half.shape[-1] <= SMALL
        matrices = self._variant(y.dtype.to_complex(), paired, transposed)
        if not paired:
            product = self._multiply(matrices, torch.fft.rfftn(y, dim=axes))
            return torch.fft.irfftn(product, s=self.size, dim=axes)
        pairs = torch.complex(*y.chunk(2))
        pairs = torch.fft.ifftn(self._multiply(matrices, torch.fft.fftn(pairs, dim=axes)), dim=axes)
        return torch.cat([pairs.real, pairs.imag])

    def _multiply(self, matrices: Tensor, spectrum: Tensor) -> Tensor:
        """`symbols.product_by_frequency`, in place where it is one product of matrices a frequency."""
        if self.groups > 1:
            return symbols.product_by_frequency(matrices, spectrum, self.groups).contiguous()
        n, c = spectrum.shape[:2]
        spectrum = (
            spectrum.contiguous()
        )  # an FFT may hand back other strides, as for images in channels-last order
        rows = spectrum.view(n * c, -1)
        width = (
            max(16, BLOCK // (n * c * spectrum.element_size()))
            if spectrum.device.type == "cpu"
            else rows.shape[1]
        )
        for first in range(0, rows.shape[1], width):
            block = rows[:, first : first + width]
            product = torch.bmm(
                block.t().contiguous().view(-1, n, c), matrices[first : first + width]
            )
            block.copy_(product.view(-1, n * c).t())
        return spectrum

    def _variant(self, dtype: torch.dtype, full: bool, transposed: bool) -> Tensor:
        key = (dtype, full, transposed)
        if key not in self._variants:
            matrices = self._completed() if full else self.half
            matrices = (matrices.mH if transposed else matrices).to(dtype)
            self._variants[key] = (
                matrices.contiguous()
                if self.groups > 1
                else matrices.flatten(0, -3).mT.contiguous()
            )
        return self._variants[key]

    def _completed(self) -> Tensor:
        """The full spectrum from the half that `rfftn` keeps: S(-f) = conj(S(f))."""
        d, width = len(self.size), self.size[-1]
        columns = torch.arange(width // 2 + 1, width, device=self.half.device)
        mirrored = self.half.index_select(d - 1, width - columns)
        for axis in range(d - 1):
            mirrored = mirrored.index_select(
                axis, -torch.arange(self.size[axis], device=self.half.device) % self.size[axis]
            )
        return torch.cat([self.half, mirrored.conj()], d - 1)
