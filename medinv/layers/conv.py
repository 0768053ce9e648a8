"""Convolutions that are inverted after training."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.base import Invertible, check_floating, check_shape
from medinv.layers.linalg import determinant, spectrum
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg.derivatives import none_wanted
from medinv.layers.linalg.implicit import FactorCache, solution
from medinv.layers.linalg.memory import FactorMemory, factor_memory
from medinv.layers.linalg.padding import Padding


class InvertibleConv(Invertible):
    """What the convolutions share."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    @property
    @abstractmethod
    def _sides(self) -> int:
        """The number of image axes."""

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        bias: bool = False,
        padding: Padding = "circular",
        groups: int = 1,
    ):
        super().__init__()
        name = type(self).__name__
        if channels < 1 or kernel_size not in (1, 3, 5):
            wanted = "channels >= 1 and kernel_size 1, 3 or 5"
            raise ConfigError(f"{name} expects {wanted}; got {channels} and {kernel_size}")
        if groups < 1 or channels % groups:
            got = f"{groups} groups of {channels} channels"
            raise ConfigError(f"{name} expects groups that divide its channels; got {got}")
        pads.check_padding(padding)
        self.channels, self.kernel_size = channels, kernel_size
        self.padding, self.groups = padding, groups
        self.weight = nn.Parameter(_near_orthogonal(channels, kernel_size, self._sides, groups))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self._factors, self._log_dets = FactorCache(), FactorCache()

    def extra_repr(self) -> str:
        """What `repr` shows."""
        has_bias = f"bias={self.bias is not None}"
        rest = f"padding={self.padding!r}, groups={self.groups}"
        return f"{self.channels}, kernel_size={self.kernel_size}, {has_bias}, {rest}"

    def kernel(self) -> Tensor:
        """w, (channels, channels / groups, *k)."""
        return self.weight

    def offset(self) -> Tensor | None:
        """b, (channels,), if there is one."""
        return self.bias

    def forward(self, x: Tensor) -> Tensor:
        """`w * x + b`, (N, channels, *size)."""
        self._check(x, "")
        return pads.linear(x, self.kernel(), self.padding, self.groups, self.offset())

    def inverse(self, y: Tensor) -> Tensor:
        """The x of which `y` (N, channels, *size) is the image.

        Raises SingularError where something is lost, ConvergenceError where an image that must be
        iterated does not reach a backward error of 1e-14, and ConfigError where the factors would
        take more memory than is free (`factor_memory` tells how much that is).
        """
        self._check(y, ".inverse")
        offset = self.offset()
        if offset is not None:
            y = y - offset.reshape(-1, *[1] * self._sides)
        return solution(y, self.kernel(), self.padding, self.groups, self._factors)

    def factor_memory(self, size: Sequence[int]) -> FactorMemory:
        """Bytes that the inverse of images of `size` (H, W) or (D, H, W) takes and then keeps.

        >>> str(InvertibleConv2d(32).factor_memory((224, 224)))
        '1,780 MB to make and 198 MB to keep'
        """
        return factor_memory(self.kernel(), size, self.padding, self.groups)

    def forget(self) -> None:
        """Free the factors and the log-determinants."""
        self._factors.clear()
        self._log_dets.clear()

    def log_det(self, x: Tensor) -> Tensor:
        """log |det A| (N,), the same for every image of one size.

        Without derivatives it is computed once, and again where the weights have changed.
        """
        self._check(x, ".log_det")
        kernel, size = self.kernel(), tuple(x.shape[2:])
        kept = not torch.is_grad_enabled() and none_wanted(x, kernel)
        value = (
            self._log_dets.factors(kernel, size, lambda weight: self._log_abs_det(weight, size))
            if kept
            else determinant.log_abs_det(kernel, size, self.padding, self.groups)
        )
        return value.expand(x.shape[0])

    @torch.inference_mode(False)  # what is kept may meet derivatives later
    @torch.no_grad()
    def _log_abs_det(self, weight: Tensor, size: Sequence[int]) -> Tensor:
        return determinant.log_abs_det(weight, size, self.padding, self.groups)

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """(N,), the same for every image of one size.

        Exact from the symbol (circular) or the dense matrix, by Lanczos to 1e-5 on larger padded
        images.
        """
        largest, smallest = self._extremes(x)
        return x.new_full((x.shape[0],), largest / smallest if smallest > 0 else math.inf)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """One over the smallest singular value, (N,), known as well as the condition number."""
        smallest = self._extremes(x)[1]
        return x.new_full((x.shape[0],), 1 / smallest if smallest > 0 else math.inf)

    def _extremes(self, x: Tensor) -> tuple[float, float]:
        size = x.shape[2:]
        return spectrum.extreme_singular_values(self.kernel(), size, self.padding, self.groups)

    def _check(self, x: Tensor, method: str) -> None:
        name = type(self).__name__ + method
        check_shape(x, self.channels, self._sides, name)
        check_floating(x, name)
        pads.check_size(x.shape[2:], [self.kernel_size] * self._sides, self.padding, name)


def _near_orthogonal(channels: int, kernel_size: int, sides: int, groups: int) -> Tensor:
    """A random orthogonal matrix a group at the centre, and a little elsewhere."""
    width = channels // groups
    weight = torch.zeros(channels, width, *[kernel_size] * sides)
    if kernel_size > 1:
        weight.normal_(std=0.02 / math.sqrt(width * (kernel_size / 3) ** sides))
    centre = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(groups)]
    weight.flatten(2)[..., kernel_size**sides // 2] += torch.cat(centre)
    return weight


class InvertibleConv2d(InvertibleConv):
    """A C -> C convolution of images, `y = w * x + b`; the forward pass is the framework's own.

    With circular padding the inverse solves `S(f) X(f) = Y(f) - B(f)` frequency by frequency
    (`linalg.symbol`); other paddings add a correction of the border (`linalg.border`). Exact in
    algebra: the error is the rounding of the input's type times the condition number. Factors are
    made in float64, kept for the last four image sizes and made anew as soon as the weights differ.
    The kernel starts as a random orthogonal matrix at its centre, plus a little.

    An image alone and in a batch comes back the same to 8 units of the last place of its largest
    value times the condition number, since matrix products of other sizes add in another order.

    Arguments:
        channels: of the images, both ways.
        kernel_size: 1, 3 or 5.
        bias: whether there is a b.
        padding: "circular", "zeros", "reflect" or "replicate".
        groups: of channels that do not see each other, up to depthwise.

    Shapes: (N, channels, H, W) both ways, H and W of at least kernel_size // 2 (reflect: one more).
    Derivatives of every order. Float16 and bfloat16 are solved in float32.

    Raises:
        ConfigError: for another kernel size, padding or number of groups.
        SingularError: from `inverse` and `log_det`, if something is lost.
        ConvergenceError: from `inverse`, where an iteration does not arrive.

    Source: Sedghi, Gupta and Long 2019, 1805.10408 (symbol); Hager 1989 (border).

    >>> layer = InvertibleConv2d(3, padding="zeros").double()
    >>> x = torch.randint(0, 256, (2, 3, 16, 12)).double()
    >>> torch.equal(layer.inverse(layer(x)).round(), x)
    True
    >>> layer.log_det(x).shape
    torch.Size([2])
    """

    _sides: int = 2


class InvertibleConv3d(InvertibleConv):
    """`InvertibleConv2d` for volumes (N, channels, D, H, W).

    Other than circular padding factorises the border densely up to 8,192 unknowns a group and
    iterates beyond.

    >>> layer = InvertibleConv3d(2).double()
    >>> x = torch.randn(1, 2, 4, 6, 5, dtype=torch.float64)
    >>> torch.allclose(layer.inverse(layer(x)), x)
    True
    """

    _sides: int = 3
