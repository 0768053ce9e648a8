"""Random changes of training images.

Shifts are whole pixels: interpolation would teach a density model that films are blurred.
"""

from collections.abc import Callable

import torch
from monai.transforms import (
    BorderPad,
    Compose,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSpatialCrop,
)
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

    Those of whole batches lie on `device`, where it is done.
    """
    if recipe.flip or recipe.cutout:
        generator = torch.Generator().manual_seed(seed)
        return lambda images, flipped: (
            natural(images.to(device), recipe, generator, flipped)
            if images.ndim == 4
            else volumes(images.to(device), recipe, generator, flipped)
        )
    steps: list = []
    if recipe.shift:
        steps += [
            BorderPad(recipe.shift, mode="edge"),
            RandSpatialCrop(size, random_size=False),
        ]
    if recipe.gain:
        steps.append(RandScaleIntensity(recipe.gain, prob=1.0))
    if recipe.offset:
        steps.append(RandShiftIntensity(recipe.offset, prob=1.0))
    pipeline = Compose(steps).set_random_state(seed)
    return lambda images, _: torch.stack(
        [torch.as_tensor(pipeline(image.float())).clamp(0, top) for image in images]
    )


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
        side = moved.shape[axis]
        place = torch.arange(side) + torch.randint(
            -recipe.shift, recipe.shift + 1, (len(moved), 1), generator=generator
        )
        place = (side - 1) - ((side - 1) - place.abs()).abs()  # mirrored at both ends
        if recipe.flip:
            mirrored = torch.rand(len(moved), generator=generator) >= 0.5
            if flipped is not None and axis == moved.ndim - 1:
                mirrored = flipped
            place = torch.where(mirrored[:, None], place.flip(1), place)
        shape = [len(moved), *[1] * (moved.ndim - 1)]
        shape[axis] = side
        moved = moved.gather(axis, place.reshape(shape).to(moved.device).expand_as(moved))
    return moved


def _within(position: Tensor, start: Tensor, length: int) -> Tensor:
    return (position >= start) & (position < start + length)
