"""Restarted primal-dual iterations for undersampled Fourier data of images sparse in Haar wavelets.

The square-root LASSO (Belloni, Chernozhukov and Wang 2011),

    F(c) = lambda |c|_1 + |P U W^T c - b|_2,

with W the orthonormal Haar transform, U the unitary Fourier transform and P the sampled
frequencies, by the iterations of Chambolle and Pock from c_0 with dual start 0. Their averages c_K
fulfil, for every c and steps tau sigma <= 1 (Chambolle and Pock 2016, theorem 1),

    F(c_K) - F(c) <= (|c - c_0|^2 / tau + 1 / sigma) / K,

so with tau = 1 / sigma = d >= |c - c_0| the gap is at most 2 d / K. Where small gaps mean small
distances (sharpness, from the null space property), K inner steps then take the distance from d to
d / e + a multiple of the noise, and the next restart begins there with d that small: n restarts
reach e^-n. This is the network of Colbrook, Antun and Hansen (PNAS 2022, theorem 3), which has no
learned weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.layers import Haar

_HAAR = Haar()


@dataclass(frozen=True)
class Problem:
    """What is measured: a mask (n, n) of sampled frequencies, and the weight lambda of sparsity."""

    mask: Tensor
    weight: float

    def measure(self, x: Tensor) -> Tensor:
        """Sampled Fourier coefficients (n, n) complex of an image (n, n), zero elsewhere."""
        return self.mask * torch.fft.fft2(x, norm="ortho")

    def adjoint(self, y: Tensor) -> Tensor:
        """The real image (n, n) that `measure`'s transpose makes of coefficients."""
        return torch.fft.ifft2(self.mask * y, norm="ortho").real

    def objective(self, c: Tensor, b: Tensor) -> float:
        """F of wavelet coefficients."""
        misfit = torch.linalg.vector_norm(self.measure(image_of(c)) - b)
        return (self.weight * c.abs().sum() + misfit).item()


@dataclass(frozen=True)
class Schedule:
    """So many restarts of so many inner steps, the distance divided by `fall` at each.

    noise: what is added to the distance at each restart, as a share of the length of the data.
    """

    restarts: int
    inner: int
    fall: float = torch.e
    noise: float = 0.0


def wavelets(x: Tensor) -> Tensor:
    """Haar coefficients (n^2,) of an image (n, n), n a power of two: details first, fine first."""
    parts, here = [], x[None, None]
    while here.shape[-1] > 1:
        levels = _HAAR.to(x.dtype)(here)
        here = levels[:, :1]
        parts.append(levels[:, 1:].flatten())
    return torch.cat([*parts, here.flatten()])


def image_of(c: Tensor) -> Tensor:
    """The image (n, n) of Haar coefficients (n^2,)."""
    here, side, end = c[-1:].view(1, 1, 1, 1), 1, len(c) - 1
    while end > 0:
        count = 3 * side**2
        details = c[end - count : end].view(1, 3, side, side)
        here = _HAAR.to(c.dtype).inverse(torch.cat([here, details], 1))
        side, end = 2 * side, end - count
    return here[0, 0]


def averaged(problem: Problem, b: Tensor, start: Tensor, inner: int, distance: float) -> Tensor:
    """The mean (n^2,) of `inner` primal-dual steps from `start`, tau = 1 / sigma = `distance`."""
    c, y, total = start, torch.zeros_like(b), torch.zeros_like(start)
    for _ in range(inner):
        down = c - distance * wavelets(problem.adjoint(y))
        size = (down.abs() - distance * problem.weight).clamp_min(0)
        moved = down.sign() * size
        y = y + (problem.measure(image_of(2 * moved - c)) - b) / distance
        y = y / torch.linalg.vector_norm(y).clamp_min(1)
        c, total = moved, total + moved
    return total / inner


def restarted(problem: Problem, b: Tensor, schedule: Schedule) -> Iterator[Tensor]:
    """Wavelet coefficients after each restart, from zero; the first distance is |b|."""
    length = torch.linalg.vector_norm(b).item()
    c, distance = b.new_zeros(b.numel()).real, length
    for _ in range(schedule.restarts):
        c = averaged(problem, b, c, schedule.inner, distance)
        yield c
        distance = (distance + schedule.noise * length) / schedule.fall


def reconstruct(problem: Problem, b: Tensor, schedule: Schedule) -> Tensor:
    """The image (n, n) after the last restart."""
    *_, c = restarted(problem, b, schedule)
    return image_of(c)


def sampling(side: int, share: float, seed: int) -> Tensor:
    """A mask (side, side): low frequencies all, the others with a chance that falls as 1 / r^2.

    `share` of all are sampled, the frequency 0 at [0, 0].
    """
    line = torch.fft.fftfreq(side, dtype=torch.float64).abs() * side
    radius = torch.maximum(line[:, None], line[None, :]).clamp_min(1)
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(side, side, generator=generator, dtype=torch.float64).log() * radius**2
    keys[radius <= side / 16] = torch.inf
    kept = keys.flatten().topk(round(share * side**2)).indices
    return torch.zeros(side**2, dtype=torch.float64).index_fill(0, kept, 1).view(side, side)
