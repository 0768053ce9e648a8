"""Couplings: one half of the channels moves the other, so that any network may do the moving.

Dinh et al. 2014, 1410.8516 (additive); 2016, 1605.08803 (affine).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Invertible, check_images, given, total
from medinv.layers.subnets import Subnet, conv_net


class _Coupling(Invertible):
    """What the couplings share: the halves, the network and the condition."""

    def __init__(
        self,
        channels: int,
        hidden: int | None,
        outputs: int,
        subnet: Subnet | None,
        condition: int,
    ):
        super().__init__()
        name = type(self).__name__
        check_channels(channels, name)
        if (hidden is None) == (subnet is None) or condition < 0:
            raise ConfigError(
                f"{name} expects the hidden channels of its own network or a subnet, and condition"
                f" >= 0; got hidden={hidden}, subnet={subnet}, condition={condition}"
            )
        self.channels, self.kept, self.condition = channels, channels // 2, condition
        self.conditional = condition > 0
        inputs, outputs = self.kept + condition, outputs * (channels - self.kept)
        if subnet is not None:
            self.net = subnet(inputs, outputs)
        else:
            self.net = conv_net(inputs, hidden or 1, outputs)

    def moved(self, a: Tensor, condition: Tensor | None) -> Tensor:
        """What the network says of the half that stays, (N, outputs, H, W)."""
        name = type(self).__name__
        if not self.conditional:
            if condition is not None:
                raise ShapeError(f"{name} without a condition expects none; got one")
            return self.net(a)
        if condition is None:
            raise ShapeError(f"{name} expects a condition of {self.condition} channels; got none")
        return self.net(torch.cat([a, at_size(condition, a, self.condition, name)], 1))

    def initialise(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Nothing depends on data; returns y."""
        return self(x, *given(self, condition))

    def halves(self, x: Tensor, method: str) -> tuple[Tensor, Tensor]:
        """The half that stays and the half that moves."""
        check_images(x, self.channels, type(self).__name__ + method)
        return x[:, : self.kept], x[:, self.kept :]


class AdditiveCoupling(_Coupling):
    """`y_a = x_a`, `y_b = x_b + t(x_a, condition)`; volume is kept.

    Exact in algebra: (x + t) - t rounds.

    Arguments:
        channels: of the images; half of them, rounded down, stay.
        hidden: channels within the network t, unless there is a `subnet`.
        subnet: `subnet(channels in, channels out)` makes t; `subnets.attention(...)` is one.
        condition: channels of a condition, which is then the second argument of every method:
            (N, condition) or (N, condition, H', W'), brought to the size of the images.

    Shapes: (N, channels, H, W) both ways. Raises ConfigError, or ShapeError for other shapes.

    >>> layer, x = AdditiveCoupling(4, 8, condition=2), torch.randn(3, 4, 6, 6)
    >>> c = torch.randn(3, 2)
    >>> torch.allclose(layer.inverse(layer(x, c), c), x)
    True
    """

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        subnet: Subnet | None = None,
        condition: int = 0,
    ):
        super().__init__(channels, hidden, 1, subnet, condition)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """y."""
        a, b = self.halves(x, "")
        return torch.cat([a, b + self.moved(a, condition)], 1)

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """x."""
        a, b = self.halves(y, ".inverse")
        return torch.cat([a, b - self.moved(a, condition)], 1)

    def log_det(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """0, (N,)."""
        return x.new_zeros(x.shape[0])

    def call_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both."""
        return self(x, condition), self.log_det(x)


class AffineCoupling(_Coupling):
    """`y_a = x_a`, `y_b = x_b exp(s(x_a, condition)) + t(x_a, condition)`, log_det = sum of s.

    s is held in (-clamp, clamp) by `clamp tanh(. / clamp)`. Exact in algebra. The sum is in float32
    at least, under autocast too. Arguments, shapes and errors as AdditiveCoupling.

    >>> from medinv.layers.subnets import attention
    >>> layer = AffineCoupling(4, subnet=attention(width=8, heads=2, depth=1))
    >>> x = torch.randn(3, 4, 6, 6)
    >>> torch.allclose(layer.inverse(layer(x)), x)
    True
    """

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        clamp: float = 0.6,
        subnet: Subnet | None = None,
        condition: int = 0,
    ):
        super().__init__(channels, hidden, 2, subnet, condition)
        if not clamp > 0:
            raise ConfigError(f"AffineCoupling expects a positive clamp; got {clamp}")
        self.clamp = clamp

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"{self.channels}, clamp={self.clamp}"

    def scale_and_shift(self, a: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-scale s and the shift t, each (N, channels - kept, H, W)."""
        raw, shift = self.moved(a, condition).chunk(2, 1)
        return self.clamped(raw), shift

    def clamped(self, raw: Tensor) -> Tensor:
        """The log-scale s of what the network says of it, in (-clamp, clamp)."""
        return self.clamp * torch.tanh(raw / self.clamp)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """y."""
        return self.call_and_log_det(x, condition)[0]

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """x."""
        a, b = self.halves(y, ".inverse")
        log_scale, shift = self.scale_and_shift(a, condition)
        return torch.cat([a, (b - shift) * (-log_scale).exp()], 1)

    def log_det(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The sum of s, (N,)."""
        return self.call_and_log_det(x, condition)[1]

    def call_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both."""
        a, b = self.halves(x, "")
        log_scale, shift = self.scale_and_shift(a, condition)
        return torch.cat([a, b * log_scale.exp() + shift], 1), total(log_scale)


def at_size(condition: Tensor, like: Tensor, channels: int, layer: str) -> Tensor:
    """A condition (N, K) or (N, K, H', W') at the size of images (N, C, H, W): nearest, or
    averaged.
    """
    if condition.ndim not in (2, 4) or condition.shape[:2] != (like.shape[0], channels):
        wanted = f"a condition (N, {channels}) or (N, {channels}, H, W) for {like.shape[0]} images"
        raise ShapeError(f"{layer} expects {wanted}; got {tuple(condition.shape)}")
    size = like.shape[2:]
    if condition.ndim == 2:
        return condition[:, :, None, None].expand(-1, -1, *size).to(like.dtype)
    if condition.shape[2:] != size:
        if condition.shape[2] < size[0]:
            condition = F.interpolate(condition, size=size, mode="nearest")
        else:
            condition = F.adaptive_avg_pool2d(condition, (size[0], size[1]))
    return condition.to(like.dtype)


def check_channels(channels: int, layer: str) -> None:
    """Raise ConfigError unless there are two halves."""
    if channels < 2:
        wanted = "at least 2 channels, one half to move the other"
        raise ConfigError(f"{layer} expects {wanted}; got {channels}")
