"""The inverse of a circular convolution, kept ready."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medinv.layers import spectral

SMALL = 32  # channels (a group) up to which two images packed as one complex image are faster than two half spectra


class Circulant:
    """Solves `C x = y` for a circular convolution C on images of one size.

    The factor is made in float64 and applied in the type of `y`: in float32 its rounding is of the order of the forward pass's own.
    Two real images are one complex image, because C is real: on few channels the plain FFT of such pairs beats the half spectrum.
    """

    def __init__(self, weight: Tensor, size: Sequence[int], groups: int = 1):
        self.size = tuple(size)
        self.groups = groups
        self.half = spectral.inverse_symbol(weight, self.size, groups)
        self._variants: dict[tuple[torch.dtype, bool, bool], Tensor] = {}

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`C^-1 y`, or `C^-T y`, for y (N, C, *size). Differentiable in `y`."""
        packed = y.shape[0] % 2 == 0 and self.half.shape[-1] <= SMALL and not (torch.is_grad_enabled() and y.requires_grad)
        matrices = self._variant(y.dtype.to_complex(), packed, transposed)
        return self._solve_pairs(matrices, y) if packed else spectral.apply_symbol(matrices, y, self.groups)

    def _solve_pairs(self, matrices: Tensor, y: Tensor) -> Tensor:
        axes = tuple(range(2, y.ndim))
        half = y.shape[0] // 2
        spectrum = torch.fft.fftn(torch.complex(y[:half], y[half:]), dim=axes)
        product = spectral.product_by_frequency(matrices, spectrum, self.groups).contiguous()
        pairs = torch.fft.ifftn(product, dim=axes)
        return torch.cat([pairs.real, pairs.imag])

    def _variant(self, dtype: torch.dtype, full: bool, transposed: bool) -> Tensor:
        key = (dtype, full, transposed)
        if key not in self._variants:
            matrices = self._completed() if full else self.half
            self._variants[key] = (matrices.mH if transposed else matrices).to(dtype).contiguous()
        return self._variants[key]

    def _completed(self) -> Tensor:
        """The full spectrum from the half that `rfftn` keeps: S(-f) = conj(S(f))."""
        d, width = len(self.size), self.size[-1]
        columns = torch.arange(width // 2 + 1, width, device=self.half.device)
        mirrored = self.half.index_select(d - 1, width - columns)
        for axis in range(d - 1):
            mirrored = mirrored.index_select(axis, -torch.arange(self.size[axis], device=self.half.device) % self.size[axis])
        return torch.cat([self.half, mirrored.conj()], d - 1)
