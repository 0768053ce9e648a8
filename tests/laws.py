"""Every invertible layer, as the laws in `test_laws.py` try it: one line a layer, one function that
finds what has none.
"""

import importlib
import inspect
import pkgutil
import textwrap

import torch

import medinv
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    AsinhActivation,
    Bypass,
    C4Conv2d,
    C4Squeeze,
    Chain,
    ChannelFlip,
    ChannelPadding,
    ConditionalMultiscale,
    FrozenNorm,
    Haar,
    Haar3d,
    InjectiveConv2d,
    IntegerCoupling,
    IntegerHaar,
    Inverse,
    Invertible,
    InvertibleBatchNorm,
    InvertibleConv2d,
    InvertibleConv3d,
    LeakyReLU,
    LeGall53,
    Multiscale,
    OnVolumes,
    Reversible,
    SmoothLeakyReLU,
    SoftLeakyReLU,
    Squeeze,
    attention,
)
from medinv.layers.base import check_images
from medinv.layers.reversible import Recomputing
from medinv.models.whitening import Whitening


def every_layer() -> set[type[Invertible]]:
    """Every concrete subclass of Invertible in the package, wherever it lives."""
    for module in pkgutil.walk_packages(medinv.__path__, "medinv."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[Invertible]] = set()
    waiting = [Invertible]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("medinv.") and not inspect.isabstract(kind):
                found.add(kind)
    return found


def whitening(channels: int) -> Whitening:
    """As after a start, from channels that go together."""
    layer = Whitening(channels)
    values = torch.randn(8, channels, 8, 8)
    layer.initialise(values + 2 * values.roll(1, 1))
    return layer


def perturbed(layer: Invertible) -> Invertible:
    """A layer as after training: no parameter at its starting value, kernels still well
    conditioned.
    """
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return layer


def _multiscale(c: int) -> Multiscale:
    first = Chain(Haar(), InvertibleConv2d(4 * c), AffineCoupling(4 * c, 4))
    return Multiscale(
        [first, Chain(Haar(), ActNorm(4 * c + 4), AdditiveCoupling(4 * c + 4, 4))], [c + 1]
    )


def _template(c: int) -> Invertible:
    """The example for newcomers, taken from the docstring that shows it."""
    lines = Invertible.__doc__.splitlines()
    code = textwrap.dedent(
        "\n".join(lines[next(i for i, line in enumerate(lines) if "class Shift" in line) :])
    )
    scope = {
        "Invertible": Invertible,
        "Tensor": torch.Tensor,
        "check_images": check_images,
        "nn": torch.nn,
        "torch": torch,
    }
    exec(code, scope)
    return scope["Shift"](c)


# Each takes a number of channels of its input, at least 2.
MAKERS = {
    "template": _template,
    "conv3": lambda c: InvertibleConv2d(c),
    "conv3-bias": lambda c: InvertibleConv2d(c, bias=True),
    "conv1": lambda c: InvertibleConv2d(c, kernel_size=1),
    "conv3-zeros": lambda c: InvertibleConv2d(c, padding="zeros", bias=True),
    "conv3-reflect": lambda c: InvertibleConv2d(c, padding="reflect"),
    "conv5-depthwise": lambda c: InvertibleConv2d(c, kernel_size=5, groups=c),
    "conv5-depthwise-zeros": lambda c: InvertibleConv2d(
        c, kernel_size=5, padding="zeros", groups=c
    ),
    "conv3d": lambda c: InvertibleConv3d(c, bias=True, groups=c // 2 if c % 2 == 0 else 1),
    "c4-conv": lambda c: Chain(Squeeze(), C4Conv2d(c, bias=True), Inverse(Squeeze())),
    "c4-squeeze": lambda c: C4Squeeze(),
    "c4-squeeze-fields": lambda c: Chain(C4Squeeze(), C4Squeeze(c)),
    "actnorm": lambda c: ActNorm(c),
    "frozen-norm": lambda c: FrozenNorm([0.5, -1.0, 0.0, 2.0][:c], [2.0, 0.25, 1.0, 0.5][:c]),
    "leaky": lambda c: LeakyReLU(0.6),
    "squeeze": lambda c: Squeeze(2),
    "flip": lambda c: ChannelFlip(),
    "haar": lambda c: Haar(),
    "additive": lambda c: AdditiveCoupling(c, 4),
    "affine": lambda c: AffineCoupling(c, 4),
    "chain": lambda c: Chain(ActNorm(c), InvertibleConv2d(c), LeakyReLU(0.8), AffineCoupling(c, 4)),
    "whitening": lambda c: whitening(c),
    "batch-norm": lambda c: InvertibleBatchNorm(c).eval(),
    "smooth-leaky": lambda c: SmoothLeakyReLU(0.3),
    "soft-leaky": lambda c: SoftLeakyReLU(0.3),
    "asinh": lambda c: AsinhActivation(0.3),
    "legall": lambda c: LeGall53(),
    "integer-haar": lambda c: IntegerHaar(),
    "integer-coupling": lambda c: IntegerCoupling(c, 4),
    "inverse": lambda c: Inverse(Chain(InvertibleConv2d(c), ActNorm(c))),
    "reversible": lambda c: Reversible(
        ActNorm(c), InvertibleConv2d(c), LeakyReLU(0.8), AffineCoupling(c, 4)
    ),
    "recomputing": lambda c: Recomputing(
        ActNorm(c), InvertibleConv2d(c), Chain(LeakyReLU(0.8)), AffineCoupling(c, 4)
    ),
    "multiscale": _multiscale,
    "additive-attention": lambda c: AdditiveCoupling(c, subnet=attention(8, 2, 1)),
    "pyramid": lambda c: ConditionalMultiscale(
        c, [Chain(AffineCoupling(3 * c, 4, condition=c))], Chain(ActNorm(c))
    ),
    "bypass": lambda c: Bypass(c, 1, Chain(Haar(), ActNorm(4)), 1),
    "haar3d": lambda c: Haar3d(),
    "on-volumes": lambda c: OnVolumes(ActNorm(c)),
}
# Layers that need other numbers of channels stand between isometries.
THROUGH = {"c4-conv": C4Conv2d}
# Left-invertible layers obey the laws below that need no preimage of every output.
WIDENING = {
    "padding": lambda c: ChannelPadding(c, 3),
    "injective-conv": lambda c: InjectiveConv2d(c, 2, bias=True),
    "injective-conv1": lambda c: InjectiveConv2d(c, 3, kernel_size=1),
}
ACTIVATIONS = (LeakyReLU, SmoothLeakyReLU, SoftLeakyReLU, AsinhActivation)
ROUNDING = (
    "legall",
    "integer-haar",
    "integer-coupling",
)  # their gradients are those of the same layer without its roundings
SHAPE = (3, 2, 8, 4)
SHAPES = {  # where the input is not images of SHAPE
    "conv3d": (3, 2, 4, 3, 2),
    "haar3d": (3, 2, 4, 4, 2),
    "on-volumes": (3, 2, 4, 3, 2),
}
