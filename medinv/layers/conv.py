"""Convolutions that are inverted after training."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.layers import spectral
from medinv.layers.base import Invertible, check_images


class InvertibleConv2d(Invertible):
    """A C -> C convolution with circular padding, `y = w * x + b`; the forward pass is the framework's own.

    The inverse solves `S(f) X(f) = Y(f) - B(f)` frequency by frequency (see `spectral`) in float64, whatever the input's type. Exact in
    algebra: the rounding error grows with the condition number. The factor S^-1 is kept per image size and rebuilt as soon as the
    weights differ from those it was made of. The kernel starts as a random orthogonal matrix at its centre, plus a little.

    Shapes: (N, channels, H, W) both ways, any H and W of at least kernel_size // 2. Raises SingularError from `inverse` if a frequency is lost.
    """

    def __init__(self, channels: int, kernel_size: int = 3, *, bias: bool = False):
        super().__init__()
        if channels < 1 or kernel_size not in (1, 3):
            raise ConfigError(f"InvertibleConv2d expects channels >= 1 and kernel_size 1 or 3; got {channels} and {kernel_size}")
        self.channels = channels
        self.kernel_size = kernel_size
        weight = torch.zeros(channels, channels, kernel_size, kernel_size)
        if kernel_size > 1:
            weight.normal_(std=0.02 / math.sqrt(channels))
        weight[:, :, kernel_size // 2, kernel_size // 2] += nn.init.orthogonal_(torch.empty(channels, channels))
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self._factors: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}, bias={self.bias is not None}"

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.channels, "InvertibleConv2d")
        margin = self.kernel_size // 2
        return F.conv2d(F.pad(x, (margin,) * 4, mode="circular"), self.weight, self.bias)

    def inverse(self, y: Tensor) -> Tensor:
        check_images(y, self.channels, "InvertibleConv2d.inverse")
        factor = self._factor((y.shape[2], y.shape[3]))
        with torch.no_grad():
            x = spectral.apply_symbol(factor, self._unbiased(y).double())
        if torch.is_grad_enabled():
            # One step of iterative refinement. Its value changes nothing but rounding; its derivatives are those of the implicit function.
            x = x + spectral.apply_symbol(factor, (y - self(x.to(y.dtype))).double())
        return x.to(y.dtype)

    def _unbiased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y - self.bias[:, None, None]

    def _factor(self, size: tuple[int, int]) -> Tensor:
        weight = self.weight.detach()
        made_of, factor = self._factors.get(size, (None, None))
        if factor is None or made_of.dtype != weight.dtype or made_of.device != weight.device or not torch.equal(made_of, weight):
            factor = spectral.inverse_symbol(weight, size)
            self._factors[size] = (weight.clone(), factor)
        return factor

    def log_det(self, x: Tensor) -> Tensor:
        check_images(x, self.channels, "InvertibleConv2d.log_det")
        return spectral.log_abs_det(self.weight, (x.shape[2], x.shape[3])).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact, from the symbol; the same for every image of one size."""
        return x.new_full((x.shape[0],), spectral.condition_number(self.weight, (x.shape[2], x.shape[3])))
