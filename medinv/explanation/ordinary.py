"""Ordinary networks with their gates frozen at one image: affine maps, like ours (`affine`).

A network is traced by torch.fx, each layer is frozen as the table of `freeze` says, and functions
between the layers (sums of residual blocks, reshapes) as the tables below say. At its image the
affine map equals the network, for any convolutional network of ReLU-like gates, pooling and
normalisation (LinearScope, Livne et al. 2019, 1908.05168). It can be replayed forwards (A u + b)
and backwards (A^T v); a row of A is a picture of what one output holds against the image.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.explanation.affine import Map, bent, chord, freeze
from medinv.explanation.result import Evidence


@freeze.register(nn.AdaptiveAvgPool2d)
@freeze.register(nn.AdaptiveAvgPool3d)
@freeze.register(nn.AvgPool2d)
@freeze.register(nn.AvgPool3d)
@freeze.register(nn.Flatten)
@freeze.register(nn.Identity)
@freeze.register(nn.Linear)
@freeze.register(nn.PixelUnshuffle)
@freeze.register(nn.ZeroPad2d)
def _affine_already(layer: nn.Module, x: Tensor, ground: Tensor | None = None) -> Map:
    return layer


@freeze.register(nn.BatchNorm2d)
@freeze.register(nn.BatchNorm3d)
@freeze.register(nn.Dropout)
def _affine_in_evaluation(layer: nn.Module, x: Tensor, ground: Tensor | None = None) -> Map:
    """By its running statistics, or by doing nothing."""
    if layer.training:
        raise ConfigError(
            f"evidence expects a network in evaluation mode; {type(layer).__name__} is in training "
            "mode: call .eval() first"
        )
    return layer


@freeze.register
def _clipped(layer: nn.ReLU6, x: Tensor, ground: Tensor | None = None) -> Map:
    """Where it is clipped it gives 6 whatever comes: a bias of its own."""
    if ground is not None:
        return chord(layer, x, ground)
    gate, clipped = ((x > 0) & (x < 6)).to(x.dtype), 6 * (x >= 6).to(x.dtype)
    return lambda u: u * gate + clipped


@freeze.register(nn.ELU)
@freeze.register(nn.GELU)
@freeze.register(nn.Hardswish)
@freeze.register(nn.SiLU)
@freeze.register(nn.Tanh)
def _through_the_origin(layer: nn.Module, x: Tensor, ground: Tensor | None = None) -> Map:
    """Where these are zero too; or through the ground."""
    return chord(layer, x, ground)


@freeze.register
def _leaky(layer: nn.LeakyReLU, x: Tensor, ground: Tensor | None = None) -> Map:
    return bent(layer.negative_slope, x, ground)


@freeze.register
def _largest(layer: nn.MaxPool2d, x: Tensor, ground: Tensor | None = None) -> Map:
    """Takes what stands where the largest stood."""
    _at_one_image(layer, ground)
    _, places = F.max_pool2d(
        x, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, True
    )  # fmt: skip
    return lambda u: u.flatten(2).gather(2, places.flatten(2)).reshape(places.shape)


@freeze.register
def _in_groups(layer: nn.GroupNorm, x: Tensor, ground: Tensor | None = None) -> Map:
    """The mean follows what comes, the scale is that of the image."""
    _at_one_image(layer, ground)
    grouped = x.unflatten(1, (layer.num_groups, -1)).flatten(2)
    scale = (grouped.var(2, correction=0, keepdim=True) + layer.eps).rsqrt()

    def normalised(u: Tensor) -> Tensor:
        groups = u.unflatten(1, (layer.num_groups, -1)).flatten(2)
        even = ((groups - groups.mean(2, keepdim=True)) * scale).reshape(u.shape)
        if layer.weight is None:
            return even
        sides = (-1, *[1] * (u.ndim - 2))
        return even * layer.weight.reshape(sides) + layer.bias.reshape(sides)

    return normalised


def _at_one_image(layer: nn.Module, ground: Tensor | None) -> None:
    if ground is not None:
        raise ConfigError(
            f"evidence between two images expects layers of which that form is known; got "
            f"{type(layer).__name__}: register one with medinv.explanation.affine.freeze.register"
        )


Frozen = Callable[..., Callable[..., Any]]


def _as_layer(layer: nn.Module) -> Frozen:
    """Frozen like the layer of the same name; settings beside the image are its own."""
    return lambda x, *settings, **more: lambda u, *_, **__: freeze(layer, x)(u)


GATES: dict[Any, Frozen] = {
    F.relu: _as_layer(nn.ReLU()),
    torch.relu: _as_layer(nn.ReLU()),
    F.relu6: _as_layer(nn.ReLU6()),
    F.silu: _as_layer(nn.SiLU()),
    F.gelu: _as_layer(nn.GELU()),
    "relu": _as_layer(nn.ReLU()),
}
"""Functions, and methods of tensors by name, that are frozen at the image."""

LINEAR = frozenset(
    {
        torch.add, operator.add, operator.iadd, torch.sub, operator.sub, torch.cat, torch.flatten,
        torch.mean, F.avg_pool2d, F.adaptive_avg_pool2d, F.pad, operator.getitem, getattr,
        "add", "add_", "view", "reshape", "flatten", "mean", "size", "contiguous", "permute",
    }
)  # fmt: skip
"""Those that are affine in all images they are given, or give no image."""

SCALINGS = frozenset({torch.mul, operator.mul, "mul", torch.div, operator.truediv, "div"})
"""Those that are linear where all but the first they are given are numbers."""


class _Tracer(fx.Tracer):
    """Stops at layers that can be frozen, and looks into all others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = freeze.dispatch(type(m)) is not freeze.dispatch(object)
        return known and not isinstance(m, nn.Sequential)


class _Freezing(fx.Interpreter):
    """Runs a network and freezes each of its nodes at what it was given."""

    def __init__(self, traced: fx.GraphModule):
        super().__init__(traced)
        self.frozen: dict[fx.Node, Callable[..., Any]] = {}

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_module":
            self.frozen[n] = freeze(self.fetch_attr(str(n.target)), args[0])
        elif n.op in ("call_function", "call_method"):
            if n.target in GATES:
                self.frozen[n] = GATES[n.target](args[0].clone(), *args[1:], **kwargs)
            elif n.target not in LINEAR and not _scales(n.target, args[1:]):
                name = n.target if isinstance(n.target, str) else n.target.__name__
                raise ConfigError(
                    f"evidence expects functions of which a frozen form is known; got {name}: "
                    "name it in medinv.explanation.ordinary"
                )
        return super().run_node(n)


def _scales(target: Any, others: tuple[Any, ...]) -> bool:
    return target in SCALINGS and not any(isinstance(each, Tensor) for each in others)


class _Replaying(fx.Interpreter):
    """Runs the frozen nodes."""

    def __init__(self, traced: fx.GraphModule, frozen: dict[fx.Node, Callable[..., Any]]):
        super().__init__(traced)
        self.frozen = frozen

    def run_node(self, n: fx.Node) -> Any:
        if n not in self.frozen:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return self.frozen[n](*args, **kwargs)


@dataclass(frozen=True)
class AffineNetwork:
    """u -> A u + b, which at its image (N, C, *size) is the network: outputs (N, K)."""

    map: Map
    shape: tuple[int, ...]
    like: Tensor  # of whose type and device its images are

    def __call__(self, u: Tensor) -> Tensor:
        """A u + b (N, K)."""
        return self.map(u)

    @property
    def bias(self) -> Tensor:
        """b (N, K)."""
        return self.map(self.like.new_zeros(self.shape)).detach()

    def back(self, v: Tensor) -> Tensor:
        """A^T v (N, C, *size) of outputs (N, K)."""
        u = self.like.new_zeros(self.shape).requires_grad_()
        with torch.enable_grad():
            (image,) = torch.autograd.grad(self.map(u), u, v)
        return image

    def row(self, output: int) -> Tensor:
        """What one output holds against the image, (N, C, *size)."""
        outputs = self.bias.new_zeros(self.bias.shape)
        outputs[:, output] = 1
        return self.back(outputs)


@torch.no_grad()
def freeze_network(network: nn.Module, x: Tensor) -> AffineNetwork:
    """An ordinary network in evaluation mode with its gates frozen at images `x` (N, C, *size).

    Raises ConfigError for a layer or a function of which no frozen form is known.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU6(), nn.MaxPool2d(2), nn.Flatten())
    >>> x = torch.randn(1, 1, 6, 6)
    >>> bool(torch.equal(freeze_network(network, x)(x), network(x)))
    True
    """
    traced = fx.GraphModule(network, _Tracer().trace(network))
    freezing = _Freezing(traced)
    freezing.run(x.clone())
    frozen = freezing.frozen
    return AffineNetwork(
        lambda u: _Replaying(traced, frozen).run(u.clone()), tuple(x.shape), x.detach()
    )


def evidence_of(
    network: nn.Module, x: Tensor, towards: int, against: int, *, ground: Tensor | float = 0.0
) -> Evidence:
    """The logit of one class less that of another as an exact sum over one image (1, C, *size).

        logit = sum_p A_p (x_p - r) + b

    with r = `ground`, such as the mean image: a pixel equal to it carries nothing, b is the logit
    of the frozen network there. The residual is measured against the network itself.
    """
    frozen = freeze_network(network, x)
    asked = frozen.bias.new_zeros(frozen.bias.shape)
    asked[:, towards], asked[:, against] = 1, -1
    reference = torch.zeros_like(x) + ground
    with torch.no_grad():
        contributions = (frozen.back(asked) * (x - reference))[0].sum(0)
        bias = (asked * frozen(reference)).sum().item()
        logit = (asked * network(x.clone())).sum().item()
    residual = abs(contributions.sum().item() + bias - logit)
    return Evidence(contributions.cpu().numpy(), bias, logit, residual)
