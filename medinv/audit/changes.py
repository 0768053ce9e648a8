"""Images changed on purpose: regions blanked or exchanged, and what should change nothing.

Lengths are shares of an image's side; UNIT is that of a pixel of 64.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.audit.sample import Region, Sample, in_plane
from medinv.data.compose.images import blur, moved
from medinv.models.region import onto

UNIT = 1 / 64
BORDER = 1 / 16  # width of the frame of an image that is its border
TURN = 8  # degrees


def blanked(sample: Sample, region: Region, *, alone: bool, fixed: bool = False) -> Tensor:
    """Images with their region replaced by the mean training image, or all but it (`alone`).

    fixed: one mask for all images.
    """
    wide = region.fixed.expand_as(region.wide) if fixed else region.wide
    gone = 1 - wide if alone else wide
    return sample.images * (1 - gone) + sample.ground * gone


def exchanged(
    sample: Sample, region: Region, label: int, *, pairs: int, aligned: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (pairs,) of images of `label`, rows of others, and the first's regions in the second's.

    aligned: the other is moved so that its lungs lie on these, where places are known. Otherwise
    its own region is blanked first, so that none of it stands beside the one put in.
    """
    generator = torch.Generator().manual_seed(10 + label)
    others = torch.nonzero(sample.labels != label)[:, 0]
    inner, outer = (_some(rows, pairs, generator) for rows in (sample.rows(label), others))
    around, wide = sample.images[outer], region.wide[inner]
    if aligned and region.places is not None:
        around = onto(around, region.places[outer], region.places[inner])
    elif region.places is None:
        own = region.wide[outer]
        around = around * (1 - own) + sample.ground * own
    return inner, outer, sample.images[inner] * wide + around * (1 - wide)


def _some(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rounds = -(-count // len(rows))
    order = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(max(rounds, 2))]
    return torch.cat(order)[:count]


def border_of(size: torch.Size) -> Tensor:
    """The frame of images of a size, (1, *size) of 0 or 1: the edges of the last two axes."""
    inner = torch.ones(*size)
    for axis in (-2, -1):
        side = size[axis]
        width = max(1, round(BORDER * side))
        inner = inner * _along(axis, torch.arange(side), side, width, len(size))
    return (1 - inner)[None]


def _along(axis: int, steps: Tensor, side: int, width: int, axes: int) -> Tensor:
    inside = ((steps >= width) & (steps < side - width)).float()
    return inside.view(*[-1 if k == axes + axis else 1 for k in range(axes)])


def border_alone(sample: Sample) -> Tensor:
    """Images of which the border alone is left, on the mean training image."""
    border = border_of(sample.images.shape[2:])
    return sample.images * border + sample.ground * (1 - border)


def harmless(images: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Changes that are no finding: key, name and the changed images."""
    yield "blur-0.7", "blur of s.d. 0.7", blurred(images, 0.7)
    yield "blur-1", "blur of s.d. 1", blurred(images, 1)
    for gamma in (0.75, 1.33):
        yield f"gamma-{gamma}", f"gamma {gamma}", 255 * (images / 255) ** gamma
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
    yield "noise-8", "noise of s.d. 8", images + 8 * noise
    yield "turn-8", "turn of 8 degrees", in_plane(_turned, images)


def turned_over(images: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Images that lie otherwise: key, name and the images."""
    yield "upside-down", "upside down", images.flip(-2)
    yield "mirror", "mirrored", images.flip(-1)


def cut_out(images: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Parts of images, enlarged to their size: key, name and the images."""
    middle, upper = (0.15, 0.85), (0.0, 0.6)
    for key, name, rows, columns in (
        ("middle-70", "cut to the middle 70 %", middle, middle),
        ("upper-60", "cut to the upper 60 %", upper, (0.0, 1.0)),
    ):
        yield key, name, in_plane(partial(_enlarged, rows=rows, columns=columns), images)


def blurred(images: Tensor, deviation: float) -> Tensor:
    """A Gaussian blur; deviation in pixels of 64."""
    return in_plane(lambda some: blur(some, deviation * UNIT), images)


def _enlarged(images: Tensor, rows: tuple[float, float], columns: tuple[float, float]) -> Tensor:
    size = images.shape[2:]
    (top, bottom), (left, right) = (
        (round(side * low), round(side * high))
        for side, (low, high) in zip(size, (rows, columns), strict=True)
    )
    part = images[:, :, top:bottom, left:right]
    return F.interpolate(part, size=size, mode="bilinear", align_corners=False)


def _turned(images: Tensor) -> Tensor:
    still, angle = torch.ones(len(images)), torch.full((len(images),), math.pi * TURN / 180)
    return moved(images, angle, still, torch.zeros(len(images), 2))
