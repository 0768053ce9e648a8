"""What keeps inverted kernels well conditioned, taken as a step of its own.

It does not pass through the optimiser, as decoupled weight decay does not.
"""

import math

import torch
from torch import Tensor, nn

from medinv.config import PooledTrain
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.models.base import AfterStep
from medinv.models.polar import orthogonal_factor, positive_part

FREQUENCIES = 4  # drawn a step
ROTATE = 10  # steps between two looks at the kernels' centres


class Conditioning(AfterStep):
    """What a recipe does for the inverted kernels of a network after each step of the optimiser."""

    def __init__(self, network: nn.Module, recipe: PooledTrain):
        self.network, self.recipe = network, recipe
        bound = recipe.accretive
        self.accretive = None if bound is None else Accretive(network, bound)

    def __call__(self, step: int, factor: float) -> None:
        """Called with the number of the step in its epoch and the schedule's factor there."""
        if not self.recipe.orthogonality:
            return
        rate = self.recipe.orthogonality * max(self.recipe.orthogonality_floor, factor)
        if self.accretive is None:
            towards_isometry(self.network, rate)
        else:
            self.accretive.step(step, rate)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The rotations in use, which are looked for every ROTATE steps alone."""
        return {"rotations": [] if self.accretive is None else self.accretive.rotations}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """From a checkpoint."""
        if self.accretive is not None:
            device = next(self.network.parameters()).device
            self.accretive.rotations = [turn.to(device) for turn in state["rotations"]]


@torch.no_grad()
def towards_isometry(model: nn.Module, rate: float) -> None:
    """One gradient step, of length `rate` for kernels 3x3 and in proportion for others.

    It lowers an unbiased estimate of the mean over all frequencies of |S^H S - I|_F^2 for every
    inverted kernel. S(f) = sum_k w[k] exp(i f.k) is the symbol of `layers.linalg.symbol`;
    `layers.linalg.symbol.orthogonality_penalty` is the same mean exactly, at the price of a
    convolution of the kernel with itself, which here would cost as much as the images. The gradient
    is 4 Re(S (S^H S - I) exp(-i f.k)).
    """
    alike: dict[torch.Size, list[Tensor]] = {}
    for module in model.modules():
        if isinstance(module, InvertibleConv2d | InvertibleConv3d):
            alike.setdefault(module.weight.shape, []).append(module.weight)
    for shape, kernels in alike.items():  # together, since each by itself is too small to be quick
        share = 9 / shape[2:].numel()  # at one frequency all taps pull together
        slopes = _gradient(torch.stack(kernels), len(shape) - 2).unbind(0)
        torch._foreach_sub_(kernels, slopes, alpha=rate * share)


class Accretive:
    """Pushes the real part of every inverted kernel's symbol, turned by its centre, above `bound`.

    Beyond that a kernel is free. With Q the orthogonal factor of the centre tap and A(f) = Q^T
    S(f): if (A + A^H) / 2 >= bound at every frequency, then Re <v, Q^T T v> >= bound |v|^2 for all
    images v, where T is the convolution with zero padding or on a torus of whatever size (extend v
    by zeros, and apply Parseval). So no singular value of T is below `bound`, edges included, where
    kernels that are isometries of the torus may lose the edge. Such operators are called accretive.
    A step goes down an unbiased estimate of the mean over all frequencies of the sum of squares of
    what the eigenvalues lack. The gain of a kernel, on which a bound depends, is left to the
    optimiser (Muon with `rescale` holds its mean square at 1).
    """

    def __init__(self, model: nn.Module, bound: float):
        self.bound = bound
        self._kernels = [
            module.weight
            for module in model.modules()
            if isinstance(module, InvertibleConv2d | InvertibleConv3d)
        ]
        self._alike: dict[torch.Size, list[int]] = {}
        for index, kernel in enumerate(self._kernels):
            self._alike.setdefault(kernel.shape, []).append(index)
        self.rotations: list[Tensor] = []

    @torch.no_grad()
    def step(self, number: int, rate: float) -> None:
        """Step `number` of an epoch; kernels of one shape together, in the same frequencies."""
        if number % ROTATE == 0:
            self.rotations = self._rotations()
        for members in self._alike.values():
            kernels: list[Tensor] = [self._kernels[index] for index in members]
            turns = torch.stack([self.rotations[index] for index in members])
            slopes = self._slopes(torch.stack(kernels), turns).unbind(0)
            torch._foreach_sub_(kernels, slopes, alpha=rate)

    def _rotations(self) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for members in self._alike.values():
            turns = rotations(torch.stack([self._kernels[index].detach() for index in members]))
            found |= dict(zip(members, turns.unbind(0), strict=True))
        return [found[index] for index in range(len(self._kernels))]

    def _slopes(self, kernels: Tensor, turns: Tensor) -> Tensor:
        """Of kernels (K, C, C, *k) that are turned by (K, C, C)."""
        rows = kernels.flatten(0, 1)
        angles = _angles(rows, FREQUENCIES)
        real, imaginary = (part.unflatten(1, kernels.shape[:2]) for part in _symbols(rows, angles))
        part = turns.mT.to(turns.dtype.to_complex()) @ torch.complex(real, imaginary)
        lacking = torch.eye(part.shape[-1], device=part.device) * self.bound - (part + part.mH) / 2
        slope = positive_part(lacking)
        up, along = ((turns @ each).flatten(1, 2) for each in (slope.real, slope.imag))
        return (-2 / FREQUENCIES) * _to_taps(up, along, angles, rows).view_as(kernels)


def rotations(kernels: Tensor) -> Tensor:
    """The orthogonal factors Q (K, C, C) of the centre taps' polar decompositions.

    They are the rotations nearest to the taps of kernels (K, C, C, *k).
    """
    taps = kernels.flatten(3)
    return orthogonal_factor(taps[..., taps.shape[-1] // 2])


def _angles(weight: Tensor, count: int) -> Tensor:
    """Phases (count, taps) of random frequencies."""
    sides = weight.ndim - 2
    taps = (
        torch.cartesian_prod(*[torch.arange(side) - side // 2 for side in weight.shape[2:]])
        .reshape(-1, sides)
        .to(weight)
    )
    return (
        torch.rand(count, sides, dtype=weight.dtype, device=weight.device) * (2 * math.pi) @ taps.T
    )


def _symbols(weight: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of the symbol, each (F, C_out, C_in)."""
    kernel = weight.flatten(2).permute(2, 0, 1).flatten(1).contiguous()  # (taps, C_out C_in)
    real, imaginary = (
        (phase @ kernel).unflatten(1, weight.shape[:2]) for phase in (angles.cos(), angles.sin())
    )
    return real, imaginary


def _to_taps(real: Tensor, imaginary: Tensor, angles: Tensor, weight: Tensor) -> Tensor:
    """Slopes in the symbol as slopes in the kernel (C_out, C_in, *k), summed over frequencies."""
    gradient = angles.cos().T @ real.flatten(1) + angles.sin().T @ imaginary.flatten(1)
    return gradient.unflatten(1, weight.shape[:2]).permute(1, 2, 0).reshape(weight.shape)


def _gradient(weight: Tensor, sides: int | None = None) -> Tensor:
    """The gradient of the estimate of |S^H S - I|_F^2, shaped as the kernels.

    `weight` is one kernel (C, C, *k), or several in front of one another where `sides` tells the
    number of image axes; they are looked at in the same frequencies. Products of real matrices,
    since the framework's complex ones are several times slower, and as few as will do: with the
    parts of S below one another, [R; I], the real part of S^H S is one product, the imaginary one
    R^T I less its transpose, and each of them times [R; I] one more.
    """
    sides = weight.ndim - 2 if sides is None else sides
    rows = weight.flatten(0, weight.ndim - sides - 2)  # (kernels C, C, *k)
    angles = _angles(rows, FREQUENCIES)
    parts = [part.unflatten(1, (-1, weight.shape[-sides - 2])) for part in _symbols(rows, angles)]
    real, imaginary = parts
    both = torch.cat(parts, -2)
    crossed = real.mT @ imaginary
    gram = both.mT @ both
    gram.diagonal(dim1=-2, dim2=-1).sub_(1)
    upper, lower = (both @ gram).chunk(2, -2)
    left, right = (both @ (crossed - crossed.mT)).chunk(2, -2)
    slopes = [part.flatten(1, 2) for part in (upper - right, lower + left)]
    return (4 / FREQUENCIES) * _to_taps(slopes[0], slopes[1], angles, rows).view_as(weight)
