"""Activations that act on each value by itself, with slopes bounded on both sides: neither
direction amplifies by more than 1 / slope.
"""

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.layers.base import Invertible, total

ITERATIONS = 40  # of Newton's method, which needs 4 to 8


class _Activation(Invertible):
    """An increasing function of each value, with derivative in [slope, 1], 0 < slope <= 1."""

    def __init__(self, slope: float = 0.7):
        super().__init__()
        if not 0 < slope <= 1:
            raise ConfigError(f"{type(self).__name__} expects a slope in (0, 1]; got {slope}")
        self.slope = slope

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"slope={self.slope}"

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The slope at each value, of the shape of `x`."""

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return total(self.derivative(x).log())

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1 over the smallest slope."""
        return 1 / self.derivative(x.detach()).flatten(1).amin(1)

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest slope."""
        slopes = self.derivative(x.detach()).flatten(1)
        return slopes.amax(1) / slopes.amin(1)


class LeakyReLU(_Activation):
    """`y = x` where x >= 0, `slope x` elsewhere, 0 < slope <= 1. Exact in algebra; each layer can
    amplify an error by 1 / slope on the way back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return F.leaky_relu(x, self.slope)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        return F.leaky_relu(y, 1 / self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        """The slope at each value."""
        return torch.where(
            x >= 0, x.new_ones(()), x.new_full((), self.slope)
        )  # a plain number would be rounded to float32

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return total((x < 0).to(x.dtype)) * math.log(self.slope)


class SmoothLeakyReLU(_Activation):
    """The branch of a hyperbola that leaky ReLU is the limit of: `y = p x + q (sqrt(x^2 + 1) - 1)`,
    p = (1 + slope) / 2, q = (1 - slope) / 2.

    Slope in (slope, 1), f(0) = 0, infinitely smooth. Its inverse is closed: with r = sqrt((y + q)^2
    + slope), and since p^2 - q^2 = slope, `x = (p (y + q) - q r) / slope = y (p - q (y + 2 q) / (r
    + p)) / slope`, of which the last has no cancellation near 0. Exact in algebra, to a few
    roundings relative to x, for values whose square the type holds (1e19 in float32).
    """

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return x * torch.add(
            x.new_full((), (1 + self.slope) / 2),
            x / (_root(x, 1.0) + 1),
            alpha=(1 - self.slope) / 2,
        )

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        p, q = (1 + self.slope) / 2, (1 - self.slope) / 2
        bend = (y + 2 * q) / (_root(y + q, self.slope) + p)
        return y * torch.add(y.new_full((), p / self.slope), bend, alpha=-q / self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        """The slope at each value."""
        return torch.add(
            x.new_full((), (1 + self.slope) / 2), x / _root(x, 1.0), alpha=(1 - self.slope) / 2
        )


def _root(x: Tensor, constant: float) -> Tensor:
    """sqrt(x^2 + constant)."""
    return torch.addcmul(x.new_full((), constant), x, x).sqrt()


class _NewtonActivation(_Activation):
    """An activation without a closed inverse: Newton's method within a bracket, to rounding."""

    @abstractmethod
    def _bracket(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Values below and above the preimage of each `y`."""

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        return _Preimage.apply(y, self)

    def _solve(self, y: Tensor) -> Tensor:
        low, high = self._bracket(y)
        x = (low + high) / 2
        settled = torch.isnan(y)  # a value stands still once it is found, whatever others need
        for _ in range(ITERATIONS):
            error = self(x) - y
            low, high = torch.where(error <= 0, x, low), torch.where(error >= 0, x, high)
            step = x - error / self.derivative(x)
            new = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
            near = (new - x).abs() <= 2 * torch.finfo(x.dtype).eps * x.abs()
            x = torch.where(settled, x, new)
            settled = settled | near
            if settled.all():
                break
        return torch.where(y.isfinite(), x, y)


class _Preimage(torch.autograd.Function):
    """The x with f(x) = y, with dx = dy / f'(x): differentiable to every order."""

    @staticmethod
    def forward(y: Tensor, layer: _NewtonActivation) -> Tensor:
        """y."""
        return layer._solve(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what the derivatives need."""
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)
        ctx.layer = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The adjoint."""
        return gradient / ctx.layer.derivative(ctx.saved_tensors[0]), None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, _: None) -> Tensor:
        """The differential."""
        return change / ctx.layer.derivative(ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], y: Tensor, layer: Any) -> tuple[Tensor, int]:
        """Over a batch of batches."""
        return _Preimage.apply(y, layer), in_dims[0]


class SoftLeakyReLU(_NewtonActivation):
    """`y = slope x + (1 - slope) (log(1 + exp x) - log 2)`, slope in (slope, 1), f(0) = 0: softplus
    over a floor (Dugas et al. 2001).

    The inverse is Newton's method within a bracket from the two asymptotes. Exact in algebra, to a
    few roundings.
    """

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return self.slope * x + (1 - self.slope) * (
            torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs())) - math.log(2)
        )

    def derivative(self, x: Tensor) -> Tensor:
        """The slope at each value."""
        return self.slope + (1 - self.slope) * torch.sigmoid(x)

    def _bracket(self, y: Tensor) -> tuple[Tensor, Tensor]:
        # f lies between leaky ReLU and leaky ReLU - (1 - slope) log 2
        lifted = y + (1 - self.slope) * math.log(2)
        return torch.where(y >= 0, y, y / self.slope), torch.where(
            lifted >= 0, lifted, lifted / self.slope
        )


class AsinhActivation(_NewtonActivation):
    """`y = slope x + (1 - slope) asinh x`, odd, slope in (slope, 1]: near 0 the identity, far out a
    logarithm over a floor.

    The inverse is Newton's method within a bracket. Exact in algebra, to a few roundings.
    """

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return self.slope * x + (1 - self.slope) * torch.asinh(x)

    def derivative(self, x: Tensor) -> Tensor:
        """The slope at each value."""
        return self.slope + (1 - self.slope) / torch.hypot(x, torch.ones_like(x))

    def _bracket(self, y: Tensor) -> tuple[Tensor, Tensor]:
        far = y / self.slope
        return torch.minimum(y, far), torch.maximum(y, far)
