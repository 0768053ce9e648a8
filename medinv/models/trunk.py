"""The invertible trunk of the pure classifiers: convolutions, norms and activations of bounded slope, halved by Haar and widened once at the start.

    grey levels -> fixed scaling -> Haar -> widening -> level -> Haar -> (kept: level -> Haar -> (kept: level, rest), rest)

What an ordinary network throws away when it narrows goes around the later levels here, untouched, so that the latent holds the whole image.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.config import ModelConfig
from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    Chain,
    ChannelPadding,
    FrozenNorm,
    Haar,
    InjectiveConv2d,
    Invertible,
    InvertibleBatchNorm,
    InvertibleConv2d,
    LeakyReLU,
)


class Bypass(Invertible):
    """The first `kept` channels of an image go through `inner`, the others around it: `y = (inner(x[:kept]), squeeze(x[kept:]))`.

    `inner` lowers the resolution by 2^halvings; what goes around is moved from space into channels likewise: (N, channels, H, W) ->
    (N, inner's channels + (channels - kept) 4^halvings, H / 2^halvings, W / 2^halvings). As exact as `inner`.
    """

    def __init__(self, channels: int, kept: int, inner: Chain, halvings: int):
        super().__init__()
        self.channels, self.kept, self.inner, self.halvings = channels, kept, inner, halvings

    def extra_repr(self) -> str:
        return f"{self.channels}, kept={self.kept}, halvings={self.halvings}"

    def forward(self, x: Tensor) -> Tensor:
        return self._join(self.inner(x[:, : self.kept]), x)

    def inverse(self, y: Tensor) -> Tensor:
        around = (self.channels - self.kept) * 4**self.halvings
        inside, rest = y.split([y.shape[1] - around, around], 1)
        return torch.cat([self.inner.inverse(inside), F.pixel_shuffle(rest, 2**self.halvings)], 1)

    def log_det(self, x: Tensor) -> Tensor:
        return self.inner.log_det(x[:, : self.kept])

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = self.inner.call_and_log_det(x[:, : self.kept])
        return self._join(y, x), log_det

    def initialise(self, x: Tensor) -> Tensor:
        return self._join(self.inner.initialise(x[:, : self.kept]), x)

    def _join(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.cat([y, F.pixel_unshuffle(x[:, self.kept :], 2**self.halvings)], 1)


def image_trunk(model: ModelConfig) -> Chain:
    """The trunk of a configuration; level i has `depths[i]` convolutions of `hidden[i]` channels. Raises ConfigError where the widths do not fit."""
    channels = 4 * model.channels
    widening = _widening(channels, model)
    return Chain(
        FrozenNorm([model.mean] * model.channels, [model.std] * model.channels),
        Haar(),
        *widening,
        *_level(0, model),
    )


def _widening(channels: int, model: ModelConfig) -> list[Invertible]:
    width = model.hidden[0]
    if width == channels:
        return []
    if model.widening == "zeros":
        return [ChannelPadding(channels, width - channels)]
    if width % channels:
        raise ConfigError(
            f"model.hidden must begin with a multiple of {channels}, the channels after the first halving; got {width}"
        )
    return [InjectiveConv2d(channels, width // channels), *_norm_and_bend(width, model)]


def _level(index: int, model: ModelConfig) -> list[Invertible]:
    width, layers = model.hidden[index], []
    for _ in range(model.depths[index]):
        conv = InvertibleConv2d(width, padding=model.padding)
        if model.padding == "circular":
            _spread(conv)
        layers += [conv, *_norm_and_bend(width, model)]
    if index + 1 == len(model.depths):
        return layers
    kept = model.hidden[index + 1]
    if kept > 4 * width:
        raise ConfigError(
            f"model.hidden may grow fourfold from level to level, to {4 * width} after {width}; got {kept}"
        )
    inner = _level(index + 1, model)
    return [
        *layers,
        Haar(),
        *(
            inner
            if kept == 4 * width
            else [Bypass(4 * width, kept, Chain(*inner), len(model.depths) - 2 - index)]
        ),
    ]


def _norm_and_bend(width: int, model: ModelConfig) -> list[Invertible]:
    norm: list[Invertible] = (
        []
        if model.norm == "none"
        else [InvertibleBatchNorm(width) if model.norm == "batch" else ActNorm(width)]
    )
    return [*norm, LeakyReLU(model.slope)]


@torch.no_grad()
def _spread(conv: InvertibleConv2d) -> None:
    """Start as Q2 T Q1, random rotations of the channels around random shifts of each by one of the kernel's taps: an isometry that looks everywhere.

    The layer's own start, a rotation at the centre, sees one pixel and learns more slowly; other paddings need it, since shifts lose the edge.
    """
    width, taps = conv.channels, conv.weight[0, 0].numel()
    first, second = (nn.init.orthogonal_(torch.empty(width, width)) for _ in range(2))
    chosen = torch.randint(taps, (width,))
    kernels = [second[:, chosen == tap] @ first[chosen == tap] for tap in range(taps)]
    conv.weight.copy_(torch.stack(kernels, -1).reshape(conv.weight.shape))
