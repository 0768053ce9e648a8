"""Networks that may do the moving in a coupling: any size in, the same out, zero at first."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError

Net = TypeVar("Net", bound=nn.Module)
Subnet = Callable[[int, int], nn.Module]  # (channels in, channels out) -> network


def conv_net(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """conv3 - ReLU - conv1 - ReLU - conv3 with zero padding, (N, inputs, H, W) to (N, outputs, H,
    W).

    The last convolution starts at zero, so that a coupling starts as the identity.

    >>> conv_net(2, 8, 3)(torch.randn(1, 2, 5, 6)).shape
    torch.Size([1, 3, 5, 6])
    """
    last = nn.Conv2d(hidden, outputs, 3, padding=1)
    net = nn.Sequential(
        nn.Conv2d(inputs, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        last,
    )
    return _silent(net, last)


def attention(width: int = 64, heads: int = 4, depth: int = 2, patch: int = 1) -> Subnet:
    """A `subnet` of transformer blocks on patches, as in Jet (Kolesnikov et al. 2024, 2412.15129).

    Every place sees every other; a depthwise convolution tells where a patch lies, so that any
    image size will do whose sides `patch` divides. Memory grows with the square of the number of
    patches.

    Raises ConfigError unless `heads` divides `width`.

    >>> net = attention(width=16, heads=2, depth=1, patch=2)(3, 5)
    >>> net(torch.randn(1, 3, 8, 6)).shape
    torch.Size([1, 5, 8, 6])
    """
    if width % heads or min(width, heads, depth, patch) < 1:
        raise ConfigError(f"attention expects heads that divide its width; got {heads} and {width}")
    return lambda inputs, outputs: _Transformer(inputs, outputs, width, (heads, depth, patch))


class _Transformer(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int, how: tuple[int, int, int]):
        super().__init__()
        heads, depth, self.patch = how
        area = self.patch**2
        self.embed = nn.Conv2d(inputs * area, width, 1)
        self.place = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.Sequential(*[_Block(width, heads) for _ in range(depth)])
        self.last = nn.Conv2d(width, outputs * area, 1)
        _silent(self, self.last)

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        n, c, h, w = x.shape
        p = self.patch
        if h % p or w % p:
            got = tuple(x.shape)
            raise ShapeError(f"attention expects height and width divisible by {p}; got {got}")
        patches = x.reshape(n, c, h // p, p, w // p, p).permute(0, 1, 3, 5, 2, 4)
        tokens = self.embed(patches.reshape(n, c * p * p, h // p, w // p))
        tokens = tokens + self.place(tokens)
        size = tokens.shape[2:]
        tokens = self.blocks(tokens.flatten(2).mT).mT.unflatten(2, size)
        out = self.last(tokens).unflatten(1, (-1, p, p)).permute(0, 1, 4, 2, 5, 3)
        return out.reshape(n, out.shape[1], h, w)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mix = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.bend = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """y."""
        q, k, v = self.mix(self.norms[0](tokens)).unflatten(2, (3, self.heads, -1)).unbind(2)
        # Written out, since the fused kernels have no second derivatives.
        scores = torch.einsum("nqhd,nkhd->nhqk", q, k) / q.shape[-1] ** 0.5
        seen = torch.einsum("nhqk,nkhd->nqhd", scores.softmax(-1), v)
        tokens = tokens + self.join(seen.flatten(2))
        return tokens + self.bend(self.norms[1](tokens))


def _silent(net: Net, last: nn.Conv2d) -> Net:
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    return net
