"""A network with its gates frozen at one image is an affine map.

Activation slopes, ReLU masks inside the coupling networks and coupling scales are held at the
values that the image gives them; what is left of every layer is affine, hence so is the chain. At
that image the map equals the network exactly (LinearScope, Livne et al. 2019, 1908.05168).
"""

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    AsinhActivation,
    Bypass,
    Chain,
    ChannelFlip,
    ChannelPadding,
    FrozenNorm,
    Haar,
    Haar3d,
    InjectiveConv2d,
    InvertibleBatchNorm,
    InvertibleConv2d,
    InvertibleConv3d,
    LeakyReLU,
    Multiscale,
    OnVolumes,
    SmoothLeakyReLU,
    SoftLeakyReLU,
    Squeeze,
)
from medinv.models.whitening import Whitening

Map = Callable[[Tensor], Tensor]
SMALL = 1e-9  # below it, a quotient of two values has fewer digits than the derivative


@singledispatch
def freeze(layer: nn.Module, x: Tensor) -> Map:
    """The affine map u -> A u + b of `layer` with its gates frozen at `x` (N, C, *size).

    Its inputs are u (N, C, *size), each sent through the gates of its own image. A layer of one's
    own is made known by `freeze.register`. Raises ConfigError for a layer of which no frozen form
    is known.

    >>> gate = LeakyReLU(0.5)
    >>> x, u = torch.tensor([[[[-1.0, 1.0]]]]), torch.tensor([[[[4.0, -4.0]]]])
    >>> freeze(gate, x)(u)
    tensor([[[[ 2., -4.]]]])
    """
    raise ConfigError(
        f"evidence expects layers of which a frozen form is known; got {type(layer).__name__}: "
        "register one with medinv.explanation.affine.freeze.register"
    )


@freeze.register(nn.Conv2d)
@freeze.register(nn.Conv3d)
@freeze.register(ActNorm)
@freeze.register(ChannelFlip)
@freeze.register(ChannelPadding)
@freeze.register(FrozenNorm)
@freeze.register(Haar)
@freeze.register(Haar3d)
@freeze.register(InjectiveConv2d)
@freeze.register(InvertibleBatchNorm)
@freeze.register(InvertibleConv2d)
@freeze.register(InvertibleConv3d)
@freeze.register(Squeeze)
@freeze.register(Whitening)
def _affine_already(layer: nn.Module, x: Tensor) -> Map:
    """Batch normalisation is affine by its running statistics, in evaluation mode."""
    return layer


@freeze.register
def _around(layer: Bypass, x: Tensor) -> Map:
    inner = freeze(layer.inner, x[:, : layer.kept])
    return lambda u: layer.join(inner(u[:, : layer.kept]), u)


@freeze.register
def _on_volumes(layer: OnVolumes, x: Tensor) -> Map:
    inner = freeze(layer.layer, x.flatten(2, 3))
    return lambda u: inner(u.flatten(2, 3)).unflatten(2, u.shape[2:4])


@freeze.register
def _leaky(layer: LeakyReLU, x: Tensor) -> Map:
    gate = torch.where(x < 0, x.new_tensor(layer.slope), x.new_tensor(1.0))
    return lambda u: u * gate


@freeze.register(AsinhActivation)
@freeze.register(SmoothLeakyReLU)
@freeze.register(SoftLeakyReLU)
def _smooth(layer: AsinhActivation | SmoothLeakyReLU | SoftLeakyReLU, x: Tensor) -> Map:
    """Through the origin, where these are zero too: the slope of the secant, not of the tangent."""
    return secant(layer(x), x, layer.derivative(x))


def secant(y: Tensor, x: Tensor, slope: Tensor) -> Map:
    """u -> u y / x, and by `slope` where x is as good as 0."""
    large = x.abs() > SMALL
    gate = torch.where(large, y / torch.where(large, x, 1.0), slope)
    return lambda u: u * gate


@freeze.register
def _relu(layer: nn.ReLU, x: Tensor) -> Map:
    gate = (x > 0).to(x.dtype)
    return lambda u: u * gate


@freeze.register(nn.Sequential)
@freeze.register(Chain)
def _in_turn(layers: nn.Sequential | Chain, x: Tensor) -> Map:
    maps = []
    for layer in layers:
        maps.append(freeze(layer, x))
        x = layer(x)

    def composed(u: Tensor) -> Tensor:
        for step in maps:
            u = step(u)
        return u

    return composed


@freeze.register
def _additive(layer: AdditiveCoupling, x: Tensor) -> Map:
    net = freeze(layer.net, x[:, : layer.kept])

    def shifted(u: Tensor) -> Tensor:
        a, b = u[:, : layer.kept], u[:, layer.kept :]
        return torch.cat([a, b + net(a)], 1)

    return shifted


@freeze.register
def _scaled(layer: AffineCoupling, x: Tensor) -> Map:
    kept = x[:, : layer.kept]
    scale = layer.scale_and_shift(kept)[0].exp()
    net = freeze(layer.net, kept)

    def scaled(u: Tensor) -> Tensor:
        a, b = u[:, : layer.kept], u[:, layer.kept :]
        return torch.cat([a, b * scale + net(a).chunk(2, 1)[1]], 1)

    return scaled


@freeze.register
def _multiscale(layer: Multiscale, x: Tensor) -> Map:
    maps = []
    for level, kept in zip(layer.levels, (*layer.keep, 0), strict=True):
        maps.append((freeze(level, x), kept))
        x = level(x)[:, :kept]

    def climbed(u: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for step, kept in maps:
            u = step(u)
            parts.insert(0, u[:, kept:])
            u = u[:, :kept]
        return layer.merge(parts)

    return climbed
