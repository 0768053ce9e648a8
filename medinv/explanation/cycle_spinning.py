"""Copies of an image, each moved a little and with faint noise, and the way back of a map.

What an explanation says should not hang on where a network's grid lies. Networks that halve the
image see a place otherwise when it moves by one pixel. The mean over all moves within a period does
not: cycle spinning (Coifman and Donoho 1995, Translation-invariant de-noising). Noise does the same
for gates that stand near their kink (SmoothGrad, Smilkov et al. 2017, 1706.03825); more of it than
the network was trained with is another image to it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

MOVES = tuple((down, right) for down in range(-1, 3) for right in range(-1, 3))
"""Pixels along the last two axes: a period of places of 4 x 4 pixels."""


def copies(x: Tensor, noise: float) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Each of MOVES with the images `x` (N, C, *size) moved by it, and in Gaussian noise.

    noise: its standard deviation, grey levels. Every copy has noise of its own, the same at every
    call and for all images, so that maps can be repeated.
    """
    generator = torch.Generator().manual_seed(0)
    for move in MOVES:
        drawn = torch.randn(x.shape[1:], generator=generator, dtype=torch.float64)
        yield move, moved(x, move) + noise * drawn.to(x)


def moved(x: Tensor, move: tuple[int, int]) -> Tensor:
    """Images (..., H, W) moved down and right by `move` pixels, up and left where it is negative.

    What comes in repeats the edge.

    >>> moved(torch.tensor([[1, 2, 3]]), (0, 1))
    tensor([[1, 1, 2]])
    """
    for axis, by in zip((-2, -1), move, strict=True):
        x = x.index_select(axis, _came_from(x.shape[axis], by, x.device))
    return x


def moved_back(maps: Tensor, move: tuple[int, int]) -> Tensor:
    """Maps (..., H, W) of moved images, back to the images as they were.

    The adjoint of `moved`, which keeps the sum: what a repeated pixel contributes goes to the pixel
    that it repeats.

    >>> moved_back(torch.tensor([[1, 2, 3]]), (0, 1))
    tensor([[3, 3, 0]])
    """
    for axis, by in zip((-2, -1), move, strict=True):
        origin = _came_from(maps.shape[axis], by, maps.device)
        maps = torch.zeros_like(maps).index_add_(axis, origin, maps)
    return maps


def _came_from(size: int, by: int, device: torch.device) -> Tensor:
    return (torch.arange(size, device=device) - by).clamp(0, size - 1)
