"""What a representation of images lengthens, and what moving an image does to it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from medinv.layers.base import jacobian_norm
from medinv.models.scattering import Scattering

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Representation:
    """A map of standardised images (N, C, H, W) to features (N, ...), and images of its own.

    backwards: of features, where the map has an inverse. layers: its nonlinear layers, of which
    each takes what the one before gives.
    """

    name: str
    function: Map
    images: Tensor
    backwards: Map | None = None
    layers: tuple[Map, ...] = ()


class DenseScattering(Scattering):
    """Scattering whose averages are kept at every pixel, (N, C paths, size, size).

    The sampled one keeps one in 4^J of them, hence is shorter by itself: what holds here holds
    there, and is no gift of the sampling.
    """

    def _average(self, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft2(spectrum * self.low).real

    def shift_bound(self, pixels: int) -> float:
        """What a shift by so many pixels can move coefficients by, of an image of length 1.

        |S T x - S x| <= sqrt(3) max_w |phi(w)| |exp(i w c) - 1|: averages commute with the shift
        up to that factor, and the images that are averaged, of orders 0, 1 and 2, have together at
        most three times the energy of x, where the frame's upper bound is 1.
        """
        side = self.low.shape[-1]
        turns = 2 * torch.pi * torch.fft.fftfreq(side, dtype=torch.float64) * pixels
        gap = 2 * (turns / 2).sin().abs()
        return math.sqrt(3) * (self.low.double() * gap[None, :]).max().item()


def lengths(x: Tensor) -> Tensor:
    """Euclidean lengths (N,)."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def expansions(f: Map, x: Tensor, *, iterations: int) -> tuple[float, float]:
    """Largest |f(x) - f(y)| / |x - y|: met among pairs, and for y sought next to each x (N, ...).

    Pairs: each image with the next, with noise of two sizes on it, and with a constant. Sought: the
    largest singular value of the Jacobian. Both are lower bounds of the Lipschitz constant.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    with torch.no_grad():
        here = f(x)
        ratios = [
            lengths(f(y) - here) / lengths(y - x)
            for y in (x.roll(1, 0), x + noise, x + 1e-3 * noise, torch.zeros_like(x))
            if not torch.equal(x, y)
        ]
    sought = max(jacobian_norm(f, one, iterations).item() for one in x.split(1))
    return torch.cat(ratios).max().item(), sought


@torch.no_grad()
def moved(f: Map, x: Tensor, y: Tensor) -> float:
    """|f(y) - f(x)| as a share of the length of x about its mean, the largest of the images."""
    about = x - x.mean((1, 2, 3), keepdim=True)
    return (lengths(f(y) - f(x)) / lengths(about)).max().item()


def deformed(x: Tensor, strength: float) -> Tensor:
    """Images x(u - t(u)) with a periodic field t whose gradient is at most `strength`.

    t = a (sin(2 pi v / n), sin(2 pi u / n)) with 2 pi a / n = strength: it keeps lengths to first
    order and moves no pixel out of the image. Cubic splines, circular.
    """
    side = x.shape[-1]
    amplitude = strength * side / (2 * math.pi)
    u, v = np.meshgrid(np.arange(side), np.arange(x.shape[-2]), indexing="xy")
    places = np.stack(
        [
            v - amplitude * np.sin(2 * math.pi * u / side),
            u - amplitude * np.sin(2 * math.pi * v / side),
        ]
    )
    flat = x.reshape(-1, *x.shape[-2:]).numpy()
    bent = [map_coordinates(one, places, order=3, mode="grid-wrap") for one in flat]
    return torch.from_numpy(np.stack(bent)).view(x.shape).to(x.dtype)
