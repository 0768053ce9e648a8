"""What a first course on deep learning teaches, each written out from its textbook formula."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def xavier(weight: Tensor) -> Tensor:
    """N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio 2010): for gates of slope one at zero."""
    fan_in, fan_out = _fans(weight)
    return weight.data.normal_(0, math.sqrt(2 / (fan_in + fan_out)))


def kaiming(weight: Tensor) -> Tensor:
    """N(0, 2 / fan_in) (He et al. 2015): ReLU lets half of the second moment through."""
    return weight.data.normal_(0, math.sqrt(2 / _fans(weight)[0]))


def _fans(weight: Tensor) -> tuple[int, int]:
    field = weight[0, 0].numel()
    return weight.shape[1] * field, weight.shape[0] * field


class BatchNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) by channel over batch and places, then weight and bias.

    In evaluation the running mean and variance (unbiased) stand in, each moved by a tenth a step.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, weight: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), weight))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.mean, self.var
        if self.training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            count = x.numel() / x.shape[1]
            with torch.no_grad():
                self.mean.lerp_(mean, 0.1)
                self.var.lerp_(var * count / (count - 1), 0.1)
        scale = self.weight / (var + 1e-5).sqrt()
        return x * _wide(scale) + _wide(self.bias - mean * scale)


def _wide(x: Tensor) -> Tensor:
    return x[:, None, None]


class Momentum:
    """`v = m v + gradient`, `w -= rate v` (Polyak 1964); m = 0 is gradient descent."""

    def __init__(self, weights: Iterable[Tensor], momentum: float):
        self.weights, self.momentum = list(weights), momentum
        self.velocities = [torch.zeros_like(w) for w in self.weights]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step along the gradients that are there."""
        for weight, velocity in zip(self.weights, self.velocities, strict=True):
            if weight.grad is not None:
                velocity.mul_(self.momentum).add_(weight.grad)
                weight.sub_(velocity, alpha=rate)


def cosine(step: int, steps: int, rate: float) -> float:
    """rate (1 + cos(pi step / steps)) / 2 (Loshchilov and Hutter 2017).

    >>> [round(cosine(step, 4, 1.0), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    return rate * (1 + math.cos(math.pi * step / steps)) / 2


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V of (..., n, d) (Vaswani et al. 2017)."""
    scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True) @ values


class SelfAttention(nn.Module):
    """Adds to each place what it attends to; at the start it adds nothing."""

    def __init__(self, channels: int, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.inner = nn.Conv2d(channels, 3 * channels, 1)
        self.outer = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.inner(x).flatten(2).unflatten(1, (3, self.heads, -1)).mT  # (N, 3, h, n, d)
        seen = attention(*parts.unbind(1)).mT.flatten(1, 2).reshape(x.shape)
        return x + self.outer(seen)


class Pair(nn.Module):
    """Two convolutions, with batch normalisation and with a way around them where asked for.

    With both, the last normalisation starts at zero, so that the pair starts as its gate alone.
    """

    def __init__(self, channels: int, *, normalised: bool, residual: bool):
        super().__init__()
        self.residual = residual
        layers: list[nn.Module] = []
        for number in range(2):
            layers.append(nn.Conv2d(channels, channels, 3, padding=1, bias=not normalised))
            if normalised:
                layers.append(BatchNorm(channels, 0.0 if residual and number else 1.0))
            if not number:
                layers.append(nn.ReLU())
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x) if self.residual else self.body(x))


def shifted(x: Tensor, down: int, right: int) -> Tensor:
    """Images (N, C, H, W) moved, zeros coming in."""
    height, width = x.shape[2:]
    wide = F.pad(x, (abs(right), abs(right), abs(down), abs(down)))
    top, left = abs(down) - down, abs(right) - right
    return wide[:, :, top : top + height, left : left + width]
