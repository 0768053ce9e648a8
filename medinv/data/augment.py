"""Random changes of training images.

Shifts are whole pixels: interpolation would teach a density model that films are blurred.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.config import TrainConfig

GREY = 120.0  # what a blanked square shows: about the mean of natural images


Augmentation = Callable[[Tensor, Tensor | None], Tensor]


def augmentation(
    recipe: TrainConfig,
    size: tuple[int, ...],
    seed: int,
    top: float = 255.0,
    device: torch.device | str = "cpu",
) -> Augmentation:
    """A function from images (N, C, *size) in grey levels, integers or float32, and which of them
    (N,) to flip, drawn where None, to augmented ones of that shape, float32, kept in 0..top.

    It is done on `device`, a whole batch at once.
    """
    generator = torch.Generator().manual_seed(seed)
    if recipe.flip or recipe.cutout:
        return lambda images, flipped: (
            natural(images.to(device), recipe, generator, flipped)
            if images.ndim == 4
            else volumes(images.to(device), recipe, generator, flipped)
        )
    return lambda images, _: films(images.to(device), recipe, generator, top)


def films(images: Tensor, recipe: TrainConfig, generator: torch.Generator, top: float) -> Tensor:
    """Shifts with repeated edges, gain and offset of a whole batch (N, C, *size), float32, kept in
    0..top.
    """
    moved = images.float()
    for axis in range(2, moved.ndim):
        place = _moved(moved, axis, recipe.shift, generator).clamp(0, moved.shape[axis] - 1)
        moved = _at(moved, axis, place)
    each = (len(moved), *[1] * (moved.ndim - 1))
    gain, offset = (2 * torch.rand(each, generator=generator) - 1 for _ in range(2))
    gain, offset = 1 + recipe.gain * gain, recipe.offset * offset
    return (moved * gain.to(moved.device) + offset.to(moved.device)).clamp(0, top)


def _moved(images: Tensor, axis: int, most: int, generator: torch.Generator) -> Tensor:
    """The places (N, side) that each image's pixels along an axis are moved from."""
    by = torch.randint(-most, most + 1, (len(images), 1), generator=generator)
    return torch.arange(images.shape[axis]) + by


def _at(images: Tensor, axis: int, place: Tensor) -> Tensor:
    """Of each image the values at its places (N, side) along an axis."""
    shape = [len(images), *[1] * (images.ndim - 1)]
    shape[axis] = images.shape[axis]
    return images.gather(axis, place.reshape(shape).to(images.device).expand_as(images))


def natural(
    images: Tensor,
    recipe: TrainConfig,
    generator: torch.Generator,
    flipped: Tensor | None = None,
) -> Tensor:
    """Shifts with mirrored edges, flips and blanked squares of a batch (N, C, H, W) uint8, float32.

    All at once: a thousand times faster than one by one. What is drawn is drawn on the processor,
    the same wherever the images lie.
    """
    n, _, height, width = images.shape
    padded = F.pad(images.float(), [recipe.shift] * 4, mode="reflect")
    rows, columns = (
        torch.randint(2 * recipe.shift + 1, (n, 1), generator=generator) + torch.arange(side)
        for side in (height, width)
    )
    if recipe.flip:
        drawn = torch.rand(n, generator=generator) >= 0.5
        mirrored = drawn if flipped is None else flipped
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    moved = padded[
        torch.arange(n, device=images.device)[:, None, None],
        :,
        rows.to(images.device)[:, :, None],
        columns.to(images.device)[:, None, :],
    ].permute(0, 3, 1, 2)
    if not recipe.cutout:
        return moved
    top, left = (
        torch.randint(side, (n, 1), generator=generator) - recipe.cutout // 2
        for side in (height, width)
    )
    inside = (
        _within(torch.arange(height), top, recipe.cutout)[:, :, None]
        & _within(torch.arange(width), left, recipe.cutout)[:, None, :]
    )
    return moved.masked_fill(inside[:, None].to(images.device), GREY)


def volumes(
    images: Tensor,
    recipe: TrainConfig,
    generator: torch.Generator,
    flipped: Tensor | None = None,
) -> Tensor:
    """Shifts with mirrored edges, and flips in each direction, of a whole batch of volumes
    (N, C, D, H, W) uint8, float32. `flipped` (N,) is of the last direction.
    """
    moved = images.float()
    for axis in range(2, moved.ndim):
        side, place = moved.shape[axis], _moved(moved, axis, recipe.shift, generator)
        place = (side - 1) - ((side - 1) - place.abs()).abs()  # mirrored at both ends
        if recipe.flip:
            mirrored = torch.rand(len(moved), generator=generator) >= 0.5
            if flipped is not None and axis == moved.ndim - 1:
                mirrored = flipped
            place = torch.where(mirrored[:, None], place.flip(1), place)
        moved = _at(moved, axis, place)
    return moved


def _within(position: Tensor, start: Tensor, length: int) -> Tensor:
    return (position >= start) & (position < start + length)
