"""The stacks of `stacks`: ours, published packages where they are installed, two networks written
from their papers. `STACKS[name](depth, channels)` gives a module with `forward(x)`, `inverse(y)`
and `log_det(x)` for x (N, channels, H, W) of unit size; `log_det` raises NotImplementedError with
the reason where there is none.
"""

import warnings

import torch
from torch import Tensor, nn

from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ChannelFlip,
    IntegerCoupling,
    InvertibleConv2d,
    LeakyReLU,
    Reversible,
    SmoothLeakyReLU,
)
from medinv.layers.linalg.symbol import orthogonality_penalty
from medinv.layers.subnets import conv_net
from pipelines.layers.papers import HIDDEN, IResNetBlock, IRevNetBlock


class Block(nn.Module):
    """One block of a package: `call(module, x)` and `undo(module, y)` return a tensor
    and its log-determinant.
    """

    def __init__(self, module: nn.Module, call, undo, why_no_log_det: str = ""):
        super().__init__()
        self.module, self.call, self.undo, self.why_no_log_det = module, call, undo, why_no_log_det

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.module, x)[0]

    def inverse(self, y: Tensor) -> Tensor:
        return self.undo(self.module, y)[0]

    def log_det(self, x: Tensor) -> Tensor:
        if self.why_no_log_det:
            raise NotImplementedError(self.why_no_log_det)
        return self.call(self.module, x)[1] + x.new_zeros(x.shape[0])


class Stack(nn.Sequential):
    """Blocks one after another."""

    def inverse(self, y: Tensor) -> Tensor:
        for block in reversed(self):
            y = block.inverse(y)
        return y

    def log_det(self, x: Tensor) -> Tensor:
        total = x.new_zeros(x.shape[0])
        for block in self:
            total = total + block.log_det(x)
            x = block(x)
        return total


def _freia(module: nn.Module, why_no_log_det: str = "") -> Block:
    def run(m: nn.Module, x: Tensor, rev: bool) -> tuple[Tensor, Tensor]:
        with warnings.catch_warnings(
            action="ignore"
        ):  # InvAutoConv2D warns of its log-determinant at each call
            (y,), log_det = m([x], rev=rev)
        return y, log_det

    return Block(
        module, lambda m, x: run(m, x, False), lambda m, y: run(m, y, True), why_no_log_det
    )


def freia_all_in_one(depth: int, channels: int) -> Stack:
    from FrEIA.modules import AllInOneBlock

    return Stack(
        *[
            _freia(
                AllInOneBlock(
                    [(channels, 16, 16)], subnet_constructor=lambda i, o: conv_net(i, HIDDEN, o)
                )
            )
            for _ in range(depth)
        ]
    )


def freia_inv_auto(depth: int, channels: int) -> Stack:
    from FrEIA.modules import InvAutoConv2D

    why = "the package returns 0 and says that it may be wrong"
    return Stack(
        *[
            block
            for _ in range(depth)
            for block in (_freia(InvAutoConv2D([(channels, 16, 16)]), why), LeakyReLU(0.7))
        ]
    )


def _flow(module: nn.Module) -> Block:
    return Block(module, lambda m, x: m(x), lambda m, y: m.inverse(y))


def normflows_glow(depth: int, channels: int) -> Stack:
    from normflows.flows import GlowBlock

    return Stack(*[_flow(GlowBlock(channels, HIDDEN)) for _ in range(depth)])


def normflows_conv1(depth: int, channels: int) -> Stack:
    from normflows.flows import Invertible1x1Conv

    return Stack(
        *[
            block
            for _ in range(depth)
            for block in (_flow(Invertible1x1Conv(channels, True)), LeakyReLU(0.7))
        ]
    )


def nflows_conv1(depth: int, channels: int) -> Stack:
    from nflows.transforms import OneByOneConvolution
    from nflows.transforms.nonlinearities import LeakyReLU as TheirLeakyReLU

    return Stack(
        *[
            _flow(module)
            for _ in range(depth)
            for module in (OneByOneConvolution(channels), TheirLeakyReLU(0.7))
        ]
    )


def zuko_rotation(depth: int, channels: int) -> Stack:
    """One orthogonal matrix across channels, as its linear flows mix them."""
    from zuko.transforms import RotationTransform

    class Rotation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.free = nn.Parameter(torch.randn(channels, channels) * channels**-0.5)

        def run(self, x: Tensor, back: bool) -> tuple[Tensor, Tensor]:
            rotate = RotationTransform(self.free)
            turned = (rotate.inv if back else rotate)(x.movedim(1, -1))
            return turned.movedim(-1, 1), x.new_zeros(x.shape[0])

    blocks = [Rotation() for _ in range(depth)]
    return Stack(
        *[Block(b, lambda m, x: m.run(x, False), lambda m, y: m.run(y, True)) for b in blocks]
    )


def memcnn_additive(depth: int, channels: int) -> Stack:
    import memcnn

    half = channels // 2
    couplings = [
        memcnn.AdditiveCoupling(conv_net(half, HIDDEN, half), conv_net(half, HIDDEN, half))
        for _ in range(depth)
    ]
    blocks = [memcnn.InvertibleModuleWrapper(coupling, keep_input=False) for coupling in couplings]
    # it frees the memory of its inputs, so that a caller who still needs one passes a copy
    return Stack(
        *[
            Block(
                block, lambda m, x: (m(x.clone()), 0.0), lambda m, y: (m.inverse(y.clone()), None)
            )
            for block in blocks
        ]
    )


def _ours(block, container=Chain):
    return lambda depth, channels: container(
        *[layer for _ in range(depth) for layer in block(channels)]
    )


STACKS = {
    "ours: conv3 circular + ActNorm + leaky 0.7": _ours(
        lambda c: (InvertibleConv2d(c), ActNorm(c), LeakyReLU(0.7))
    ),
    "ours: conv3 zeros + ActNorm + leaky 0.7": _ours(
        lambda c: (InvertibleConv2d(c, padding="zeros"), ActNorm(c), LeakyReLU(0.7))
    ),
    "ours: conv3 circular + ActNorm + smooth leaky 0.7": _ours(
        lambda c: (InvertibleConv2d(c), ActNorm(c), SmoothLeakyReLU(0.7))
    ),
    "ours: additive coupling": _ours(lambda c: (AdditiveCoupling(c, HIDDEN), ChannelFlip())),
    "ours: additive coupling, recomputed": _ours(
        lambda c: (AdditiveCoupling(c, HIDDEN), ChannelFlip()), Reversible
    ),
    "ours: affine coupling + conv1 + ActNorm": _ours(
        lambda c: (ActNorm(c), InvertibleConv2d(c, 1), AffineCoupling(c, HIDDEN))
    ),
    "ours: integer coupling": _ours(lambda c: (IntegerCoupling(c, HIDDEN), ChannelFlip())),
    "i-RevNet block, from the paper": lambda depth, c: Stack(
        *[IRevNetBlock(c) for _ in range(depth)]
    ),
    "i-ResNet block, from the paper": lambda depth, c: Stack(
        *[IResNetBlock(c) for _ in range(depth)]
    ),
    "FrEIA AllInOneBlock": freia_all_in_one,
    "FrEIA InvAutoConv2D + leaky 0.7": freia_inv_auto,
    "memcnn AdditiveCoupling": memcnn_additive,
    "normflows GlowBlock": normflows_glow,
    "normflows Invertible1x1Conv + leaky 0.7": normflows_conv1,
    "nflows OneByOneConvolution + leaky 0.7": nflows_conv1,
}


def plain(depth: int, channels: int) -> nn.Sequential:
    """The ordinary twin: as many 3x3 convolutions with zero padding,
    batch normalisation and leaky ReLU.
    """
    blocks = [
        (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.7),
        )
        for _ in range(depth)
    ]
    return nn.Sequential(*[layer for block in blocks for layer in block])


def isometry_penalty(stack: nn.Module) -> Tensor:
    """Departure of our spatial convolutions from isometries, 0 for every other stack."""
    weights = [
        m.weight for m in stack.modules() if isinstance(m, InvertibleConv2d) and m.kernel_size > 1
    ]
    return (
        orthogonality_penalty(torch.cat(weights), groups=len(weights))
        if weights
        else torch.zeros(())
    )
