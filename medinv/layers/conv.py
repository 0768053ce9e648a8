"""Convolutions that are inverted after training."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Invertible
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import spectrum
from medinv.layers.linalg.padding import Padding
from medinv.layers.linalg.solve import Solve, Solver

KEPT = 4  # image sizes whose factors are remembered


class _InvertibleConv(Invertible):
    """What the convolutions share."""

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
            raise ConfigError(
                f"{name} expects channels >= 1 and kernel_size 1, 3 or 5; got {channels} and {kernel_size}"
            )
        if groups < 1 or channels % groups:
            raise ConfigError(
                f"{name} expects groups that divide its channels; got {groups} groups of {channels} channels"
            )
        pads.check_padding(padding)
        self.channels, self.kernel_size, self.padding, self.groups = (
            channels,
            kernel_size,
            padding,
            groups,
        )
        self.weight = nn.Parameter(_near_orthogonal(channels, kernel_size, self._sides, groups))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self._factors: dict[tuple[int, ...], tuple[Tensor, Solver]] = {}

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}, bias={self.bias is not None}, padding={self.padding!r}, groups={self.groups}"

    def forward(self, x: Tensor) -> Tensor:
        self._check(x, "")
        return pads.linear(x, self.weight, self.padding, self.groups, self.bias)

    def inverse(self, y: Tensor) -> Tensor:
        self._check(y, ".inverse")
        solver = self._factor(tuple(y.shape[2:]))
        with torch.no_grad():
            x = solver.solve(self._unbiased(y))
        if torch.is_grad_enabled():
            # One step of iterative refinement. Its value changes nothing but rounding; its derivatives are those of the implicit function.
            x = x + Solve.apply(y - self(x), solver, False)
        return x

    def forget(self) -> None:
        self._factors.clear()

    def _unbiased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y - self.bias.reshape(-1, *[1] * self._sides)

    def _factor(self, size: tuple[int, ...]) -> Solver:
        weight = self.weight.detach()
        made_of, solver = self._factors.get(size, (None, None))
        if (
            solver is None
            or made_of.dtype != weight.dtype
            or made_of.device != weight.device
            or not torch.equal(made_of, weight)
        ):
            solver = Solver(weight, size, self.padding, self.groups)
            self._factors.pop(size, None)
            if len(self._factors) >= KEPT:
                self._factors.pop(next(iter(self._factors)))
            self._factors[size] = (weight.clone(), solver)
        return solver

    def log_det(self, x: Tensor) -> Tensor:
        self._check(x, ".log_det")
        return spectrum.log_abs_det(self.weight, x.shape[2:], self.padding, self.groups).expand(
            x.shape[0]
        )

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """The same for every image of one size: exact from the symbol (circular) or the dense matrix, by Lanczos to 1e-5 on larger padded images."""
        largest, smallest = self._extremes(x)
        return x.new_full((x.shape[0],), largest / smallest if smallest > 0 else math.inf)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """One over the smallest singular value, known as well as the condition number."""
        smallest = self._extremes(x)[1]
        return x.new_full((x.shape[0],), 1 / smallest if smallest > 0 else math.inf)

    def _extremes(self, x: Tensor) -> tuple[float, float]:
        return spectrum.extreme_singular_values(self.weight, x.shape[2:], self.padding, self.groups)

    def _check(self, x: Tensor, method: str) -> None:
        name = type(self).__name__ + method
        wanted = f"(N, {self.channels}, {', '.join('DHW'[-self._sides :])})"
        if x.ndim != 2 + self._sides or x.shape[1] != self.channels:
            raise ShapeError(f"{name} expects images of shape {wanted}; got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ShapeError(
                f"{name} expects a floating-point tensor; got {x.dtype}; convert it with .float() or .double()"
            )
        pads.check_size(x.shape[2:], self.weight.shape[2:], self.padding, name)


def _near_orthogonal(channels: int, kernel_size: int, sides: int, groups: int) -> Tensor:
    """A random orthogonal matrix a group at the centre, and a little elsewhere."""
    width = channels // groups
    weight = torch.zeros(channels, width, *[kernel_size] * sides)
    if kernel_size > 1:
        weight.normal_(std=0.02 / math.sqrt(width * (kernel_size / 3) ** sides))
    centre = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(groups)]
    weight[(..., *[kernel_size // 2] * sides)] += torch.cat(centre)
    return weight


class InvertibleConv2d(_InvertibleConv):
    """A C -> C convolution of images, `y = w * x + b`; the forward pass is the framework's own.

    Kernel 1, 3 or 5; padding "circular", "zeros", "reflect" or "replicate"; groups, up to depthwise. With circular padding the inverse solves
    `S(f) X(f) = Y(f) - B(f)` frequency by frequency (see `linalg.symbol`); other paddings add a correction on the border (see `linalg.border`, `linalg.solve`).
    Exact in algebra: the error is the rounding of the input's type times the condition number. The factor, made in float64, is kept for the last
    four image sizes and rebuilt as soon as the weights differ from those it was made of. The kernel starts as a random orthogonal matrix at its
    centre, plus a little.

    Shapes: (N, channels, H, W) both ways, any H and W of at least kernel_size // 2. Raises SingularError from `inverse` if something is lost, and
    ConvergenceError if an image too large for a direct solve does not reach a backward error of 1e-14 within the bound that `solve` states.
    """

    _sides: int = 2


class InvertibleConv3d(_InvertibleConv):
    """`InvertibleConv2d` for volumes (N, channels, D, H, W)."""

    _sides: int = 3
