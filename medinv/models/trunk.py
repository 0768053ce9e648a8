"""The invertible trunk of the pure classifiers: convolutions, norms and activations of bounded slope, halved by Haar and widened once at the start.

    grey levels -> fixed scaling -> Haar -> widening -> level -> Haar -> (kept: level -> Haar -> (kept: level, rest), rest)

What an ordinary network throws away when it narrows goes around the later levels here, untouched, so that the latent holds the whole image.
"""

import torch
from torch import nn

from medinv.config import ModelConfig
from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    Bypass,
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
