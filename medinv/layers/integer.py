"""A coupling that moves integers by integers, so that it is bit-exact at any depth (Hoogeboom et
al. 2019, Integer Discrete Flows, 1905.07376).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Invertible
from medinv.layers.coupling import check_channels
from medinv.layers.subnets import conv_net

ACTIVATION_BITS, WEIGHT_BITS = 16, 12  # fractional bits of the fixed-point network
ACTIVATION_LIMIT, WEIGHT_LIMIT = 64.0, 8.0


def straight_through(x: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
    """`rounding(x)` with the derivative of x (Bengio et al. 2013, 1308.3432)."""
    return _AsIdentity.apply(x, rounding)


class _AsIdentity(torch.autograd.Function):
    """A function of each value, or a check of all, whose derivative is that of the identity."""

    @staticmethod
    def forward(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """y."""
        return function(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what the derivatives need."""
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The adjoint."""
        return gradient, None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, _: None) -> Tensor:
        """The differential."""
        return change.clone()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], x: Tensor, function: Any) -> tuple[Tensor, int]:
        """Over a batch of batches."""
        return _AsIdentity.apply(x, function), in_dims[0]


class IntegerCoupling(Invertible):
    """`y_a = x_a`, `y_b = x_b + round(2^bits t(x_a / 2^bits))`: integers to integers.

    Bit-exact at any depth, batch size, memory layout and number of threads. What must not differ
    between the two directions is t, to the last bit. It is a conv3 - ReLU - conv1 - ReLU - conv3
    network in fixed point: weights are multiples of 2^-12 within +-8, activations multiples of
    2^-16 within +-64, both clamped there. In float64 each of its sums is then exact in whatever
    order it is taken (16 + 6 + 12 + 3 bits and those of the fan-in stay below 53), and a last
    rounding to that grid takes away what an algorithm with other intermediate numbers (Winograd,
    FFT) may leave. Weights may be held in float32 or float64.

    Shapes: (N, channels, H, W) both ways; float32 (integers up to 2^24), float64 (up to 2^53) or an
    integer type. Other values return to rounding. `log_det` is 0. Gradients are those of t without
    its roundings (straight-through). Raises ShapeError where a sum leaves the exact integers.
    """

    bit_exact = True

    def __init__(self, channels: int, hidden: int, *, bits: int = 8):
        super().__init__()
        check_channels(channels, "IntegerCoupling")
        if not 1 <= bits <= ACTIVATION_BITS:
            raise ConfigError(
                f"IntegerCoupling expects images of 1 to {ACTIVATION_BITS} bits; got {bits}"
            )
        if 9 * max(hidden, channels // 2) > 2**15:
            raise ConfigError(
                f"IntegerCoupling expects at most {2**15 // 9} channels and hidden channels, or its"
                f" sums would round; got {hidden}"
            )
        self.channels = channels
        self.kept = channels // 2
        self.bits = bits
        self.net = conv_net(self.kept, hidden, channels - self.kept)

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"{self.channels}, bits={self.bits}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        self._check(x, "IntegerCoupling")
        a, b = x[:, : self.kept], x[:, self.kept :]
        return torch.cat([a, _within(b + self.shift(a))], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        self._check(y, "IntegerCoupling.inverse")
        a, b = y[:, : self.kept], y[:, self.kept :]
        return torch.cat([a, _within(b - self.shift(a))], 1)

    def shift(self, a: Tensor) -> Tensor:
        """The integers (N, channels - kept, H, W), in the type of `a`, by which b moves."""
        scale = 2.0**self.bits
        hidden = a.double() / scale
        for module in self.net:
            hidden = _convolve(hidden, module) if isinstance(module, nn.Conv2d) else module(hidden)
        shift = straight_through(
            hidden.clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT) * scale, torch.round
        )
        return (
            shift.to(a.dtype) if a.is_floating_point() else shift.long().to(a.dtype)
        )  # long first: narrow integers wrap, both ways alike

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return x.new_zeros(
            x.shape[0], dtype=x.dtype if x.is_floating_point() else torch.get_default_dtype()
        )

    def _check(self, x: Tensor, layer: str) -> None:
        if (
            x.ndim != 4
            or x.shape[1] != self.channels
            or x.dtype in (torch.bool, torch.uint8, torch.int8, torch.float16, torch.bfloat16)
        ):
            wanted = (
                f"(N, {self.channels}, H, W) in float32, float64 or integers of 16 bits and more"
            )
            raise ShapeError(
                f"{layer} expects images of shape {wanted}; got {tuple(x.shape)} {x.dtype}"
            )


def _convolve(x: Tensor, module: nn.Conv2d) -> Tensor:
    """The convolution in fixed point: every product and partial sum is a float64 without rounding,
    and so is the result on its grid.
    """
    x = _to_grid(x.clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT), ACTIVATION_BITS)
    weight = _to_grid(module.weight.double().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT), WEIGHT_BITS)
    bias = _to_grid(_bias(module).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT), WEIGHT_BITS)
    return _to_grid(
        F.conv2d(x, weight, bias, padding=module.padding), ACTIVATION_BITS + WEIGHT_BITS
    )


def _bias(module: nn.Conv2d) -> Tensor:
    return module.weight.new_zeros(1).double() if module.bias is None else module.bias.double()


def _to_grid(x: Tensor, bits: int) -> Tensor:
    return straight_through(x * 2.0**bits, torch.round) / 2.0**bits


def _within(x: Tensor) -> Tensor:
    """`x`, once it is known that its type holds it exactly."""
    return _AsIdentity.apply(x, _checked) if x.is_floating_point() else x


def _checked(x: Tensor) -> Tensor:
    limit = 2**24 if x.dtype == torch.float32 else 2**53
    size = x.abs()
    if ((size > limit) & (size < math.inf)).any():
        wanted = f"integers that {x.dtype} holds exactly, up to {limit}"
        raise ShapeError(f"IntegerCoupling expects {wanted}; use float64 or smaller shifts")
    return x.clone()
