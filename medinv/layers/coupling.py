"""Couplings: one half of the channels moves the other, so that any network may do the moving (Dinh et al. 2014, 1410.8516; 2016, 1605.08803)."""

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.base import Invertible, check_images, total


def conv_net(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """conv3 - ReLU - conv1 - ReLU - conv3 with zero padding; the last starts at zero, so that a coupling starts as the identity."""
    net = nn.Sequential(
        nn.Conv2d(inputs, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, outputs, 3, padding=1),
    )
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


class AdditiveCoupling(Invertible):
    """`y_a = x_a`, `y_b = x_b + t(x_a)`; volume is kept. Exact in algebra: (x + t) - t rounds."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        check_channels(channels, "AdditiveCoupling")
        self.channels = channels
        self.kept = channels // 2
        self.net = conv_net(self.kept, hidden, channels - self.kept)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.channels, "AdditiveCoupling")
        a, b = x[:, : self.kept], x[:, self.kept :]
        return torch.cat([a, b + self.net(a)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        check_images(y, self.channels, "AdditiveCoupling.inverse")
        a, b = y[:, : self.kept], y[:, self.kept :]
        return torch.cat([a, b - self.net(a)], 1)

    def log_det(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0])


class AffineCoupling(Invertible):
    """`y_a = x_a`, `y_b = x_b exp(s(x_a)) + t(x_a)`, log_det = sum of s.

    s is held in (-clamp, clamp) by `clamp tanh(. / clamp)`. Exact in algebra.
    """

    def __init__(self, channels: int, hidden: int, *, clamp: float = 0.6):
        super().__init__()
        check_channels(channels, "AffineCoupling")
        if not clamp > 0:
            raise ConfigError(f"AffineCoupling expects a positive clamp; got {clamp}")
        self.channels = channels
        self.kept = channels // 2
        self.clamp = clamp
        self.net = conv_net(self.kept, hidden, 2 * (channels - self.kept))

    def extra_repr(self) -> str:
        return f"{self.channels}, clamp={self.clamp}"

    def scale_and_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The log-scale s(a) and the shift t(a), each (N, channels - kept, H, W)."""
        raw, shift = self.net(a).chunk(2, 1)
        return self.clamp * torch.tanh(raw / self.clamp), shift

    def forward(self, x: Tensor) -> Tensor:
        return self.call_and_log_det(x)[0]

    def inverse(self, y: Tensor) -> Tensor:
        check_images(y, self.channels, "AffineCoupling.inverse")
        a, b = y[:, : self.kept], y[:, self.kept :]
        log_scale, shift = self.scale_and_shift(a)
        return torch.cat([a, (b - shift) * (-log_scale).exp()], 1)

    def log_det(self, x: Tensor) -> Tensor:
        return self.call_and_log_det(x)[1]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_images(x, self.channels, "AffineCoupling")
        a, b = x[:, : self.kept], x[:, self.kept :]
        log_scale, shift = self.scale_and_shift(a)
        return torch.cat([a, b * log_scale.exp() + shift], 1), total(log_scale)


def check_channels(channels: int, layer: str) -> None:
    if channels < 2:
        raise ConfigError(
            f"{layer} expects at least 2 channels, one half to move the other; got {channels}"
        )
