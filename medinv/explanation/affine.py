"""A network with its gates frozen at one image is an affine map, and so is it between two images.

Activation slopes, ReLU masks inside the coupling networks and coupling scales are held at the
values that the image gives them; what is left of every layer is affine, hence so is the chain. At
that image the map equals the network exactly (LinearScope, Livne et al. 2019, 1908.05168).

With a second image, the ground, gates are held at their secants: an activation at the slope of the
chord between its values at both (the rescale rule of DeepLIFT, Shrikumar et al. 2017, 1704.02685),
and a product by the mean of its factors, since a b - a' b' = mean(b) (a - a') + mean(a) (b - b').
Then the map equals the network at both images, and what their answers differ by falls apart into
the differences of what stands anywhere on the way: f(x) - f(g) = sum A (u(x) - u(g)), exactly.
"""

from collections.abc import Callable, Iterable
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
Pointwise = Callable[[Tensor], Tensor]
SMALL = 1e-9  # pixels nearer to the origin are as good as it


@singledispatch
def freeze(layer: nn.Module, x: Tensor, ground: Tensor | None = None) -> Map:
    """The affine map u -> A u + b of `layer` with its gates frozen at `x` (N, C, *size).

    Its inputs are u (N, C, *size), each sent through the gates of its own image. At x it equals the
    layer and, where `ground` (N, C, *size) is given, there too. A layer of one's own is made known
    by `freeze.register`. Raises ConfigError for a layer of which no such form is known.

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
def _affine_already(layer: nn.Module, x: Tensor, ground: Tensor | None = None) -> Map:
    """Batch normalisation is affine by its running statistics, in evaluation mode."""
    return layer


@freeze.register
def _around(layer: Bypass, x: Tensor, ground: Tensor | None = None) -> Map:
    inner = freeze(layer.inner, *_each(lambda one: one[:, : layer.kept], x, ground))
    return lambda u: layer.join(inner(u[:, : layer.kept]), u)


@freeze.register
def _on_volumes(layer: OnVolumes, x: Tensor, ground: Tensor | None = None) -> Map:
    inner = freeze(layer.layer, *_each(lambda one: one.flatten(2, 3), x, ground))
    return lambda u: inner(u.flatten(2, 3)).unflatten(2, u.shape[2:4])


@freeze.register
def _leaky(layer: LeakyReLU, x: Tensor, ground: Tensor | None = None) -> Map:
    return bent(float(layer.slope), x, ground)


@freeze.register
def _relu(layer: nn.ReLU, x: Tensor, ground: Tensor | None = None) -> Map:
    return bent(0.0, x, ground)


@freeze.register(AsinhActivation)
@freeze.register(SmoothLeakyReLU)
@freeze.register(SoftLeakyReLU)
def _smooth(
    layer: AsinhActivation | SmoothLeakyReLU | SoftLeakyReLU,
    x: Tensor,
    ground: Tensor | None = None,
) -> Map:
    return chord(layer, x, ground)


def chord(function: Pointwise, x: Tensor, ground: Tensor | None = None) -> Map:
    """The line through the values of a smooth function at `ground` and at `x`, pixel by pixel.

    Without a ground it is the origin, where the function has to be zero. Of two pixels that are as
    good as one, a quotient has fewer digits than the slope at their middle, which stands for it.
    """
    near = SMALL if ground is None else torch.finfo(x.dtype).eps ** (1 / 3)
    ground = torch.zeros_like(x) if ground is None else ground
    middle, half = (x + ground) / 2, (x - ground) / 2
    half = torch.where(half.abs() < near, near, half)
    gate = (function(middle + half) - function(middle - half)) / (2 * half)
    return _line(ground, function(ground.clone()), gate)


def bent(slope: float, x: Tensor, ground: Tensor | None) -> Map:
    """`chord` of a function that rises by `slope` below zero and by 1 above: no digits are lost."""
    ground = torch.zeros_like(x) if ground is None else ground
    y, level = (torch.where(one > 0, one, slope * one) for one in (x, ground))
    one_side = (x > 0) == (ground > 0)
    across = (y - level) / torch.where(one_side, 1.0, x - ground)
    even = torch.ones_like(x)
    straight = torch.where(x > 0, even, slope * even)
    return _line(ground, level, torch.where(one_side, straight, across))


def _line(ground: Tensor, level: Tensor, gate: Tensor) -> Map:
    return lambda u: level + gate * (u - ground)


def _each(part: Pointwise, x: Tensor, ground: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The same of both images."""
    return part(x), None if ground is None else part(ground)


@freeze.register(nn.Sequential)
@freeze.register(Chain)
def _in_turn(layers: nn.Sequential | Chain, x: Tensor, ground: Tensor | None = None) -> Map:
    return _through(layers, x, ground)[0]


def _through(
    layers: Iterable[nn.Module], x: Tensor, ground: Tensor | None
) -> tuple[Map, Tensor, Tensor | None]:
    """The map of layers one after the other, and what they make of both images."""
    maps = []
    for layer in layers:
        maps.append(freeze(layer, x, ground))
        x, ground = _each(layer, x, ground)

    def composed(u: Tensor) -> Tensor:
        for step in maps:
            u = step(u)
        return u

    return composed, x, ground


@freeze.register
def _additive(layer: AdditiveCoupling, x: Tensor, ground: Tensor | None = None) -> Map:
    net = freeze(layer.net, *_each(lambda one: one[:, : layer.kept], x, ground))

    def shifted(u: Tensor) -> Tensor:
        a, b = u[:, : layer.kept], u[:, layer.kept :]
        return torch.cat([a, b + net(a)], 1)

    return shifted


@freeze.register
def _scaled(layer: AffineCoupling, x: Tensor, ground: Tensor | None = None) -> Map:
    """The scale is that of the image or, between two, follows what comes by its chord."""
    chain = layer.net if isinstance(layer.net, nn.Sequential) else (layer.net,)
    kept = _each(lambda one: one[:, : layer.kept], x, ground)
    net, said, said_ground = _through(chain, *kept)
    moved = _each(lambda one: one[:, layer.kept :], x, ground)
    times = _times(layer, *moved, said, said_ground)

    def scaled(u: Tensor) -> Tensor:
        a, b = u[:, : layer.kept], u[:, layer.kept :]
        log_scale, shift = net(a).chunk(2, 1)
        return torch.cat([a, times(b, log_scale) + shift], 1)

    return scaled


def _times(
    layer: AffineCoupling,
    b: Tensor,
    b_ground: Tensor | None,
    said: Tensor,
    said_ground: Tensor | None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """b times the scale, of b and what the coupling's network says of the scale, before clamping.

    b, said: of both images the half that moves, and what the network says of the other. Without a
    ground the scale is that of the image. Between two images it is
    mean(s) b + mean(b) s - (s_x b_g + s_g b_x) / 2, which is s b at both.
    """

    def scale(raw: Tensor) -> Tensor:
        return layer.clamped(raw).exp()

    raw = said.chunk(2, 1)[0]
    if b_ground is None or said_ground is None:
        return lambda moved, _: moved * scale(raw)
    raw_ground = said_ground.chunk(2, 1)[0]
    follows, s, s_ground = chord(scale, raw, raw_ground), scale(raw), scale(raw_ground)
    rest = (s * b_ground + s_ground * b) / 2
    return lambda moved, now: (s + s_ground) / 2 * moved + (b + b_ground) / 2 * follows(now) - rest


@freeze.register
def _multiscale(layer: Multiscale, x: Tensor, ground: Tensor | None = None) -> Map:
    maps = []
    for level, kept in zip(layer.levels, (*layer.keep, 0), strict=True):
        maps.append((freeze(level, x, ground), kept))
        x, ground = _each(level, x, ground)
        x, ground = x[:, :kept], None if ground is None else ground[:, :kept]

    def climbed(u: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for step, kept in maps:
            u = step(u)
            parts.insert(0, u[:, kept:])
            u = u[:, :kept]
        return layer.merge(parts)

    return climbed
