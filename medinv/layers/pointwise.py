"""Layers that act on each value by itself."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.layers.base import Invertible, check_images


class ActNorm(Invertible):
    """`y = (x + bias) exp(log_scale)` a channel; `initialise` gives its first batch zero mean and unit variance (1807.03039). Exact in algebra."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def extra_repr(self) -> str:
        return str(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.channels, "ActNorm")
        return (x + self.bias[:, None, None]) * self.log_scale.exp()[:, None, None]

    def inverse(self, y: Tensor) -> Tensor:
        check_images(y, self.channels, "ActNorm.inverse")
        return y * (-self.log_scale).exp()[:, None, None] - self.bias[:, None, None]

    def log_det(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * (x.shape[2] * x.shape[3])).expand(x.shape[0])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        check_images(x, self.channels, "ActNorm.initialise")
        self.bias.copy_(-x.mean((0, 2, 3)))
        self.log_scale.copy_(-x.std((0, 2, 3)).add(1e-3).log())
        return self(x)

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest scale."""
        return (self.log_scale.detach().max() - self.log_scale.detach().min()).exp().to(x.dtype).expand(x.shape[0])


class FrozenNorm(Invertible):
    """`y = (x - mean) / std` a channel with fixed numbers that no training changes. Exact in algebra."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise ConfigError(f"FrozenNorm expects as many means as positive standard deviations; got {list(mean)} and {list(std)}")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64).float())
        self.register_buffer("std", torch.tensor(std, dtype=torch.float64).float())

    def extra_repr(self) -> str:
        return f"mean={self.mean.tolist()}, std={self.std.tolist()}"

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, len(self.mean), "FrozenNorm")
        return (x - self.mean[:, None, None]) / self.std[:, None, None]

    def inverse(self, y: Tensor) -> Tensor:
        check_images(y, len(self.mean), "FrozenNorm.inverse")
        return y * self.std[:, None, None] + self.mean[:, None, None]

    def log_det(self, x: Tensor) -> Tensor:
        return (-self.std.log().sum() * (x.shape[2] * x.shape[3])).to(x.dtype).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest standard deviation."""
        return (self.std.max() / self.std.min()).to(x.dtype).expand(x.shape[0])


class LeakyReLU(Invertible):
    """`y = x` where x >= 0, `slope x` elsewhere, 0 < slope <= 1. Exact in algebra; each layer can amplify an error by 1 / slope on the way back."""

    def __init__(self, slope: float = 0.7):
        super().__init__()
        if not 0 < slope <= 1:
            raise ConfigError(f"LeakyReLU expects a slope in (0, 1]; got {slope}")
        self.slope = slope

    def extra_repr(self) -> str:
        return f"slope={self.slope}"

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)

    def inverse(self, y: Tensor) -> Tensor:
        return torch.where(y >= 0, y, y / self.slope)

    def log_det(self, x: Tensor) -> Tensor:
        return (x < 0).flatten(1).sum(1).to(x.dtype) * math.log(self.slope)

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1 / slope where an image has values of both signs, else 1."""
        negative = (x < 0).flatten(1)
        return torch.where(negative.any(1) & ~negative.all(1), 1 / self.slope, 1.0).to(x.dtype)
