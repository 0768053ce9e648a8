"""The inverse of a circular convolution, kept ready."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.fourier import Fourier, multiply


class Circulant:
    """Solves `C x = y` for a circular convolution C on images of `size`, set into a `torus`.

    The matrices are made in float64 and applied in the type `dtype`: in float32 their rounding is
    of the order of the forward pass's own. Raises SingularError where C is.
    """

    def __init__(
        self,
        weight: Tensor,
        size: Sequence[int],
        groups: int = 1,
        *,
        torus: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float64,
    ):
        self.torus = tuple(torus or size)
        inverse = symbols.inverse_symbol(weight, self.torus, groups)
        self._take(inverse, size, groups, dtype)

    @classmethod
    def of_inverse(
        cls, inverse: Tensor, size: Sequence[int], torus: Sequence[int], dtype: torch.dtype
    ) -> "Circulant":
        """From the inverse symbol (*frequencies, groups, c, c)."""
        circulant = cls.__new__(cls)
        circulant.torus = tuple(torus)
        circulant._take(inverse, size, inverse.shape[-3], dtype)
        return circulant

    def _take(self, inverse: Tensor, size: Sequence[int], groups: int, dtype: torch.dtype) -> None:
        flat = inverse.flatten(0, -4).to(dtype.to_complex())  # (F, groups, c, c)
        self.fourier = Fourier(size, self.torus, groups, dtype, inverse.device)
        self._rows = {False: flat.mT.contiguous()}  # by whether transposed, to stand on the right

    def matrices(self, transposed: bool) -> Tensor:
        """The inverse symbol, or that of the transpose, (F, groups, c, c), for rows on its left."""
        if transposed not in self._rows:
            self._rows[transposed] = self._rows[False].mT.conj_physical().contiguous()
        return self._rows[transposed]

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`C^-1 y`, or `C^-T y`, for y (N, C, *size). Not differentiable: see `solve`."""
        spectrum = self.fourier.forward(y)
        return self.fourier.inverse(multiply(spectrum, self.matrices(transposed)))


class Pointwise:
    """Solves `C x = y` where the kernel is one pixel: a convolution with the inverse matrices.

    The images are turned, as for every engine, and turned back for the framework.
    """

    def __init__(self, weight: Tensor, groups: int, dtype: torch.dtype):
        ones = [1] * (weight.ndim - 2)
        inverse = symbols.inverse_symbol(weight, ones, groups).real
        self._kernel, self._groups = inverse.reshape_as(weight).to(dtype), groups

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`C^-1 y`, or `C^-T y`, for y (N, C, *size)."""
        product = pads.linear_transposed if transposed else pads.linear
        return product(y.transpose(2, -1), self._kernel, "circular", self._groups).transpose(2, -1)
