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

    def needed(self, left_out: float, kernel: Sequence[int]) -> list[int]:
        """The sides of a torus where it would die away, if it goes on as it begins."""
        sides = []
        for profile, k in zip(self.profiles, kernel, strict=True):
            way = len(profile) - 1
            last = min(max(profile[-1].item(), 1e-300), 1 - 1e-9)
            far = math.log(left_out) / math.log(last) * way if way else 0
            sides.append(2 * (math.ceil(min(far, 1e9)) + k - 1) or 1)
        return sides


def _folded(length: Tensor, axis: int) -> Tensor:
    along = length.movedim(axis, 0).flatten(1).amax(1)
    distances = torch.arange(len(along) // 2 + 1)
    return torch.maximum(along[distances], along[-distances])


def smaller(
    weight: Tensor, size: Sequence[int], groups: int, left_out: float
) -> Iterator[tuple[int, ...]]:
    """Images smaller than `size` on which the response of a kernel is likely to die away."""
    kernel, plain = weight.shape[2:], _plain(weight)
    trial = [min(n, TRIAL * (k - 1) or 1) for n, k in zip(size, kernel, strict=True)]
    if 4 * math.prod(trial) >= math.prod(size) or plain is None:
        return
    try:
        inverse = symbols.InverseAndLogDet.apply(symbols.half_first(plain, trial, groups))[0]
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):
        return
    first = Response(inverse, trial)
    sides = first.needed(left_out, kernel)
    for _ in range(3):
        small = tuple(min(n, m) for n, m in zip(size, sides, strict=True))
        if math.prod(small) > WORTH * math.prod(size):
            return
        yield small
        sides = [m + m // 4 + 1 for m in sides]


def _plain(weight: Tensor) -> Tensor | None:
    """A kernel without its derivatives, whose values can be looked at; none of a batch (vmap)."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(weight):
        if functorch.is_batchedtensor(weight):
            return None
        weight = functorch.get_unwrapped(weight)
    return weight.detach()
