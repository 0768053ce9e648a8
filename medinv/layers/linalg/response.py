"""How far the impulse response of a circular convolution's inverse reaches.

On a torus across which it dies away it is that of every larger one.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from medinv.layers.linalg import symbol as symbols

PROBES = 4
TRIAL = 4  # kernel margins a side, of the torus from which the reach is first judged
WORTH = 0.7  # share of the pixels up to which a smaller image is worth its trial


class Response:
    """The response on a `torus`, seen on random channel vectors.

    `inverse` is the inverse symbol (half of the first axis, the others, groups, c, c). `profiles`
    are the largest lengths at each distance along each axis, over the largest of all.
    """

    def __init__(self, inverse: Tensor, torus: Sequence[int]):
        self.torus, inverse = tuple(torus), inverse.detach()
        drawn = np.random.default_rng(0).standard_normal((inverse.shape[-1], PROBES))
        seen = inverse @ torch.from_numpy(drawn).to(inverse)
        axes = (*range(1, len(torus)), 0)
        response = torch.fft.irfftn(seen, s=[torus[axis] for axis in axes], dim=axes)
        length = response.flatten(len(torus)).square().sum(-1).sqrt().cpu()
        self.profiles = [_folded(length / length.max(), axis) for axis in range(len(torus))]

    def reach(self, left_out: float) -> list[int]:
        """The last distance along each axis at which it is over a share of its largest."""
        return [int((p > left_out).nonzero().max()) for p in self.profiles]

    def dies_away(self, left_out: float, kernel: Sequence[int]) -> list[bool]:
        """Whether it is below that half way around, in a strip as wide as a kernel reads.

        What is 0 there is 0 beyond.
        """
        seen = zip(self.reach(left_out), kernel, self.torus, strict=True)
        return [2 * (far + k - 1) <= period for far, k, period in seen]

    def expected(self, left_out: float) -> list[int]:
        """The reach, if it goes on as it begins."""
        found = []
        for profile in self.profiles:
            way = len(profile) - 1
            last = min(max(profile[-1].item(), 1e-300), 1 - 1e-9)
            found.append(math.ceil(math.log(left_out) / math.log(last) * way) if way else 0)
        return found


def _folded(length: Tensor, axis: int) -> Tensor:
    along = length.movedim(axis, 0).flatten(1).amax(1)
    distances = torch.arange(len(along) // 2 + 1)
    return torch.maximum(along[distances], along[-distances])


def beginning(weight: Tensor, groups: int) -> Response | None:
    """The response on a few pixels; none of what is lost there, nor of a batch of kernels."""
    values = plain(weight)
    if values is None:
        return None
    torus = _first(weight)
    try:
        matrices = symbols.half_first(symbols.at_least_single(values), torus, groups)
        return Response(symbols.InverseAndLogDet.apply(matrices)[0], torus)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):
        return None


def _first(weight: Tensor) -> list[int]:
    return [TRIAL * (k - 1) or 1 for k in weight.shape[2:]]


def smaller(
    weight: Tensor, size: Sequence[int], groups: int, left_out: float
) -> Iterator[tuple[int, ...]]:
    """Images smaller than `size` on which the response of a kernel is likely to die away."""
    if 4 * math.prod(_first(weight)) >= math.prod(size):  # it would not be worth the look
        return
    begun, kernel = beginning(weight, groups), weight.shape[2:]
    if begun is None:
        return
    far = begun.expected(left_out)
    sides = [2 * (f + k - 1) or 1 for f, k in zip(far, kernel, strict=True)]
    for _ in range(3):
        small = tuple(min(n, m) for n, m in zip(size, sides, strict=True))
        if math.prod(small) > WORTH * math.prod(size):
            return
        yield small
        sides = [m + m // 4 + 1 for m in sides]


def plain(weight: Tensor) -> Tensor | None:
    """A kernel without its derivatives, whose values can be looked at; none of a batch (vmap)."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(weight):
        if functorch.is_batchedtensor(weight):
            return None
        weight = functorch.get_unwrapped(weight)
    return weight.detach()
