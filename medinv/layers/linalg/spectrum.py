"""Spectrum and lost directions of a convolution under any padding."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medinv.errors import ConfigError, ConvergenceError, SingularError
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.memory import DIRECT
from medinv.layers.linalg.solve import Solver

DENSE = 1024  # unknowns up to which a dense singular value decomposition is quicker than Lanczos


def extreme_singular_values(
    weight: Tensor, size: Sequence[int], padding: str, groups: int = 1
) -> tuple[float, float]:
    """Largest and smallest singular value on images of `size`: exact for circular padding or up to
    1,024 unknowns, by Lanczos to about 1e-5 beyond.

    The smallest is 0 where the operator is singular to rounding.
    """
    weight = weight.detach().double()
    if pads.effective(weight.shape[2:], padding) == "circular":
        values = symbols.singular_values(weight, size, groups)
        return values.max().item(), values.min().item()
    if weight.shape[0] * math.prod(size) <= DENSE:
        values = torch.linalg.svdvals(pads.matrix(weight, size, padding, groups))
        return values[0].item(), values[-1].item()
    largest = _norm(
        weight,
        size,
        lambda x: pads.linear_transposed(
            pads.linear(x, weight, padding, groups), weight, padding, groups
        ),
    )
    try:
        solver = Solver(weight, size, padding, groups)
        return largest, 1 / _norm(
            weight, size, lambda y: solver.solve(solver.solve(y, transposed=True))
        )
    except SingularError:
        return largest, 0.0


def _norm(
    weight: Tensor, size: Sequence[int], gram: Callable[[Tensor], Tensor], steps: int = 200
) -> float:
    """Square root of the largest eigenvalue of a positive map of images, by Lanczos with full
    reorthogonalisation.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(1, weight.shape[0], *size, dtype=weight.dtype, generator=generator).to(
        weight.device
    )
    basis = [v.flatten() / torch.linalg.vector_norm(v)]
    projected = torch.zeros(steps, steps, dtype=weight.dtype)
    for k in range(steps):
        w = gram(basis[-1].view_as(v)).flatten()
        space = torch.stack(basis)
        for _ in range(2):
            overlap = space @ w
            projected[: k + 1, k] += overlap.cpu()
            w = w - overlap @ space
        values, vectors = torch.linalg.eigh(projected[: k + 1, : k + 1], UPLO="U")
        length = torch.linalg.vector_norm(w)
        if (
            length.item() * abs(vectors[-1, -1].item()) <= 1e-5 * values[-1].item()
        ):  # the residual; the value's error goes with its square
            break
        basis.append(w / length)
    return math.sqrt(values[-1].item())


@dataclass(frozen=True)
class NullDirection:
    """Something that the convolution removes. For circular padding a wave: `frequency` in cycles a
    pixel and its complex channel `vector` (C,).
    """

    ratio: float  # singular value over the largest
    vector: Tensor  # (C,) complex at `frequency`, or the image (C, *size) itself
    frequency: tuple[float, ...] | None

    def __str__(self) -> str:
        if self.frequency is None:
            energy = self.vector.square().sum(0)
            peak = tuple(int(i) for i in np.unravel_index(int(energy.argmax()), energy.shape))
            channel = int(self.vector.square().flatten(1).sum(1).argmax())
            where = f"at pixel {peak} and in channel {channel}"
            return f"an image strongest {where} (singular value {self.ratio:.1e} of the largest)"
        wave = ", ".join(f"{f:+.3g}" for f in self.frequency)
        channels = ", ".join(
            f"{i}: {self.vector[i].abs():.2f}"
            for i in self.vector.abs().argsort(descending=True)[:4].tolist()
        )
        what = f"the wave of ({wave}) cycles a pixel in channels {{{channels}}}"
        return f"{what} (singular value {self.ratio:.1e} of the largest)"


def null_directions(
    weight: Tensor, size: Sequence[int], padding: str = "circular", groups: int = 1
) -> list[NullDirection]:
    """What the convolution loses to float64 on images of `size`: singular values below 1e-12 of the
    largest. Empty if it is invertible.

    Circular padding: one for each frequency of the half spectrum and vector. Other paddings: from
    the dense matrix; raises ConfigError over 8,192 unknowns.
    """
    weight = weight.detach().double().cpu()
    if pads.effective(weight.shape[2:], padding) == "circular":
        return _lost_waves(weight, size, groups)
    if weight.shape[0] * math.prod(size) > DIRECT:
        got = f"{weight.shape[0]} channels of {tuple(size)}"
        raise ConfigError(
            f"null_directions with {padding} padding expects at most {DIRECT} values an image;"
            f" got {got}"
        )
    _, values, vectors = torch.linalg.svd(pads.matrix(weight, size, padding, groups))
    ratios = values / values[0].clamp_min(torch.finfo(values.dtype).tiny)
    return [
        NullDirection(r.item(), v.reshape(-1, *size), None)
        for r, v in zip(ratios, vectors, strict=True)
        if r * symbols.LOST < 1
    ]


def _lost_waves(weight: Tensor, size: Sequence[int], groups: int) -> list[NullDirection]:
    _, values, vectors = np.linalg.svd(symbols.symbol(weight, size, groups).numpy())
    ratios = values / max(values.max(), np.finfo(float).tiny)
    directions = []
    for place in np.argwhere(ratios * symbols.LOST < 1):
        frequency = tuple(
            ((int(f) + n // 2) % n - n // 2) / n
            for f, n in zip(place[: len(size)], size, strict=True)
        )
        group = int(place[len(size)]) if groups > 1 else 0
        vector = torch.zeros(weight.shape[0], dtype=torch.complex128)
        width = weight.shape[1]
        vector[group * width : (group + 1) * width] = torch.from_numpy(vectors[tuple(place)].conj())
        directions.append(NullDirection(float(ratios[tuple(place)]), vector, frequency))
    return directions


def check_invertible(weight: Tensor, size: Sequence[int], padding: str, groups: int = 1) -> None:
    """Raise SingularError, naming what is lost, unless the convolution can be inverted on images of
    `size`.
    """
    try:
        Solver(weight, size, padding, groups)
    except (SingularError, ConvergenceError) as error:
        sides = "x".join(map(str, size))
        if (
            pads.effective(weight.shape[2:], padding) != "circular"
            and weight.shape[0] * math.prod(size) > DIRECT
        ):
            raise SingularError(f"{error.message} on {sides} images") from error
        lost = null_directions(weight, size, padding, groups)
        names = (
            "; ".join(map(str, lost[:4]))
            or "none exactly, but the condition number is beyond float64"
        )
        what = f"this convolution has no inverse on {sides} images with {padding} padding"
        raise SingularError(f"{what}; {len(lost)} directions are lost: {names}") from error
