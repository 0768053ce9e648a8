"""Shapes of findings that are planted in films, and how they change the grey levels. Lengths in
shares of the side.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medinv.data.compose.images import smooth_noise

RADII = (0.045, 0.15)
BRIGHTEST = 225.0  # planted findings do not rise above this, as bone does


def shape_in(region: Tensor, generator: torch.Generator) -> Tensor:
    """A random shape (H, W) in 0..1 that lies in `region` (H, W) in 0..1: spots, a part of one
    side, or patches.
    """
    names = list(SHAPES)
    weights = torch.tensor([SHAPES[name][0] for name in names])
    drawn = names[int(torch.multinomial(weights, 1, generator=generator))]
    return SHAPES[drawn][1](region, generator)


def rise(film: Tensor, shape: Tensor, by: float, generator: torch.Generator) -> Tensor:
    """A film (H, W) brighter by `by` grey levels times `shape`, sometimes with a texture; bright
    parts stay as they are.
    """
    uneven = 0.5 * float(torch.rand(1, generator=generator))
    cells = int(torch.randint(6, 33, (1,), generator=generator))
    texture = 1 + uneven * smooth_noise(1, len(film), cells, generator)[0, 0]
    return torch.minimum(film + by * shape * texture.clamp(0, 2), film.clamp_min(BRIGHTEST))


def patch(film: Tensor, shape: Tensor, other: Tensor, outside: Tensor) -> Tensor:
    """A film (H, W) with that of `other` within `shape`, its exposure matched where `outside` (H,
    W) is 1.
    """
    weight = outside / outside.sum().clamp_min(1e-6)
    mean, mean_other = (weight * film).sum(), (weight * other).sum()
    spread = (weight * (film - mean) ** 2).sum().sqrt()
    spread_other = (weight * (other - mean_other) ** 2).sum().sqrt().clamp_min(1.0)
    matched = (other - mean_other) * (spread / spread_other).clamp(0.6, 1.6) + mean
    return film * (1 - shape) + matched.clamp(0, 255) * shape


def spots(region: Tensor, generator: torch.Generator) -> Tensor:
    """One to three soft ellipses."""
    shape = torch.zeros_like(region)
    count = (1, 1, 2, 3)[int(torch.randint(4, (1,), generator=generator))]
    for _ in range(count):
        down, right = _from_a_place(region, generator)
        low, high = RADII
        height, width, angle = torch.rand(3, generator=generator).tolist()
        height, width = low + (high - low) * height, low + (high - low) * width
        cos, sin = math.cos(math.pi * angle), math.sin(math.pi * angle)
        u, v = (down * cos + right * sin) / height, (right * cos - down * sin) / width
        shape = torch.maximum(shape, torch.exp(-((u**2 + v**2) ** 1.5)))
    return shape * region


def side(region: Tensor, generator: torch.Generator) -> Tensor:
    """What lies beyond a slanted line, or between two, in the left half of the region, the right,
    or both.
    """
    down, right = _from_a_place(region, generator)
    slant, which, both, wide = torch.rand(4, generator=generator).tolist()
    depth = down + 0.5 * (slant - 0.5) * right
    below = torch.sigmoid(depth / 0.02)
    if wide < 0.3:
        below = below * torch.sigmoid((0.1 + 0.5 * wide - depth) / 0.02)
    elif wide < 0.5:
        below = torch.ones_like(below)  # all of it
    if both < 0.75:
        columns = torch.arange(len(region)) / len(region)
        middle = (region.sum(0) * columns).sum() / region.sum().clamp_min(1e-6)
        half = torch.sigmoid((columns - middle) / 0.01)
        below = below * (half if which < 0.5 else 1 - half)
    return below * region


def mixture(region: Tensor, generator: torch.Generator) -> Tensor:
    """How much (H, W) of another film each place of the region shows: smooth noise, about half."""
    cells = int(torch.randint(2, 8, (1,), generator=generator))
    noise = smooth_noise(1, len(region), cells, generator)[0, 0]
    return torch.sigmoid(3 * noise) * region


def patches(region: Tensor, generator: torch.Generator) -> Tensor:
    """Where smooth noise is high: patches scattered over the region."""
    cells = int(torch.randint(3, 10, (1,), generator=generator))
    noise = smooth_noise(1, len(region), cells, generator)[0, 0]
    bound = float(torch.rand(1, generator=generator)) - 0.3
    return torch.sigmoid(5 * (noise - bound)) * region


def _from_a_place(region: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Distances down and to the right, (H, W), from a place drawn in the region."""
    place = int(torch.multinomial(region.flatten().clamp_min(1e-9), 1, generator=generator))
    size = region.shape[-1]
    steps = torch.arange(size) / size
    return (
        (steps - place // size / size)[:, None].expand_as(region),
        (steps - place % size / size)[None].expand_as(region),
    )


SHAPES: dict[str, tuple[float, Callable[[Tensor, torch.Generator], Tensor]]] = {
    "spots": (0.5, spots),
    "side": (0.3, side),
    "patches": (0.2, patches),
}
