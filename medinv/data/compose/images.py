"""Small operations on batches of films (N, 1, H, W) that compose needs; lengths are shares of a
film's side, angles radians.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BENDS = 4  # about so many over the side of a bent film


def uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    """Draws (n, 1, 1, 1) between two bounds."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)


def chance(share: float, n: int, generator: torch.Generator) -> Tensor:
    """(n,) bool, each true with probability `share`."""
    return torch.rand(n, generator=generator) < share


def grow(mask: Tensor, by: float) -> Tensor:
    """A mask (N, 1, H, W) with everything within `by` of it."""
    reach = round(by * mask.shape[-1])
    return F.max_pool2d(mask, 2 * reach + 1, 1, reach)


def blur(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur; the border goes on beyond the film."""
    deviation = sigma * images.shape[-1]
    reach = max(1, math.ceil(2.5 * deviation))
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype)
    kernel = torch.exp(-(steps**2) / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    wide = F.pad(images, [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, kernel), kernel.transpose(2, 3))


def smooth_noise(n: int, size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise (n, 1, size, size) of unit variance that changes over about size / `cells`
    pixels.
    """
    coarse = torch.randn(n, 1, cells + 2, cells + 2, generator=generator)
    fine = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return fine / fine.flatten(1).std(1).clamp_min(1e-6)[:, None, None, None]


def moved(images: Tensor, turn: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Films turned by `turn` (N,), enlarged by `zoom` (N,) and shifted by `shift` (N, 2) y, x in
    halves of the side; the border goes on.
    """
    cos, sin = turn.cos() / zoom, turn.sin() / zoom
    rows = [torch.stack([cos, -sin, shift[:, 1]], 1), torch.stack([sin, cos, shift[:, 0]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def bent(images: Tensor, by: float, generator: torch.Generator) -> Tensor:
    """Films whose places move smoothly, by `by` (standard deviation) down and to the right."""
    n, size = len(images), images.shape[-1]
    moves = 2 * by * smooth_noise(2 * n, size, BENDS, generator).unflatten(0, (n, 2))
    grid = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), list(images.shape), align_corners=False)
    grid = grid + moves[:, :, 0].movedim(1, 3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
