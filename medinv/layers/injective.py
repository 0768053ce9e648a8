"""A convolution that widens: C -> k C channels, with an exact left inverse."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, SingularError
from medinv.layers.base import LeftInvertible, check_images
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.implicit import FactorCache


class InjectiveConv2d(LeftInvertible):
    """A convolution from C to `multiple` C channels with circular padding, `y = w * x + b`, and its
    least-squares inverse.

    Frequency by frequency `inverse` is the pseudo-inverse of the tall symbol, X = (S^H S)^-1 S^H (Y
    - B): it gives x back from f(x), and from any other y the x whose f(x) is nearest. `log_det` is
    1/2 log det J^T J. Exact in algebra. The kernel starts with orthonormal columns at its centre,
    plus a little. With 2 or more times the channels a random symbol is almost never singular, so
    that training is safer than for a square kernel.

    Shapes: (N, C, H, W) to (N, multiple C, H, W). Raises SingularError if a frequency is lost.
    `Inverse(InjectiveConv2d(...))` narrows.
    """

    def __init__(
        self, channels: int, multiple: int = 2, kernel_size: int = 3, *, bias: bool = False
    ):
        super().__init__()
        if channels < 1 or multiple < 2 or kernel_size not in (1, 3, 5):
            got = f"{channels}, {multiple} and {kernel_size}"
            raise ConfigError(
                "InjectiveConv2d expects channels >= 1, multiple >= 2 and kernel_size 1, 3 or 5;"
                f" got {got}"
            )
        self.channels, self.multiple, self.kernel_size = channels, multiple, kernel_size
        wide = channels * multiple
        weight = torch.zeros(wide, channels, kernel_size, kernel_size)
        if kernel_size > 1:
            weight.normal_(std=0.02 / math.sqrt(wide))
        weight[:, :, kernel_size // 2, kernel_size // 2] += nn.init.orthogonal_(
            torch.empty(wide, channels)
        )
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(wide)) if bias else None
        self._factors = FactorCache()

    def extra_repr(self) -> str:
        """What `repr` shows."""
        rest = f"kernel_size={self.kernel_size}, bias={self.bias is not None}"
        return f"{self.channels}, multiple={self.multiple}, {rest}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "InjectiveConv2d")
        pads.check_size(x.shape[2:], self.weight.shape[2:], "circular", "InjectiveConv2d")
        return pads.linear(x, self.weight, "circular", bias=self.bias)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, self.channels * self.multiple, "InjectiveConv2d.inverse")
        pads.check_size(y.shape[2:], self.weight.shape[2:], "circular", "InjectiveConv2d.inverse")
        y = y if self.bias is None else y - self.bias[:, None, None]
        size = (y.shape[2], y.shape[3])
        with torch.autocast(y.device.type, enabled=False):
            if torch.is_grad_enabled() and self.weight.requires_grad:
                matrices = self._differentiable(size)
            else:
                matrices = self._factors.factors(self.weight, size, lambda w: self._make(w, size))
            return symbols.apply_symbol(matrices, y.double()).to(y.dtype)

    def forget(self) -> None:
        """Free the factors."""
        self._factors.clear()

    def _differentiable(self, size: tuple[int, int]) -> Tensor:
        """(S^H S)^-1 S^H, with derivatives in the weights to every order."""
        symbol = symbols.symbol(self.weight.double(), size)
        with symbols.singular_means_lost(self.weight, size):
            return symbols.InverseAndLogDet.apply(symbol.mH @ symbol)[0] @ symbol.mH

    def _make(self, weight: Tensor, size: tuple[int, int]) -> Tensor:
        """The pseudo-inverse by singular values, which does not square the condition number."""
        symbol = symbols.symbol(weight.double().cpu(), size).numpy()
        u, values, v = np.linalg.svd(symbol, full_matrices=False)
        if not values.min() * symbols.LOST > values.max():
            what = f"a convolution of {self.channels} channels to {len(weight)}"
            raise SingularError(f"{what} loses a frequency on {size[0]}x{size[1]} images")
        inverse = (v.conj().swapaxes(-1, -2) / values[..., None, :]) @ u.conj().swapaxes(-1, -2)
        return torch.from_numpy(inverse).to(weight.device)

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        check_images(x, self.channels, "InjectiveConv2d.log_det")
        return symbols.log_volume(
            symbols.at_least_single(self.weight), (x.shape[2], x.shape[3])
        ).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact, from the symbol; the same for every image of one size."""
        return x.new_full(
            (x.shape[0],), symbols.condition_number(self.weight, (x.shape[2], x.shape[3]))
        )

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: one over the smallest singular value."""
        return x.new_full(
            (x.shape[0],),
            1 / symbols.singular_values(self.weight, (x.shape[2], x.shape[3])).min().item(),
        )
