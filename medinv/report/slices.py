"""Volumes as a report draws them: one slice as an image is, and all of them small, side by side."""

from dataclasses import dataclass

import numpy as np

from medinv.analysis.result import ImageResult

ACROSS = (6, 5, 4)  # slices in a row of the sheet of all: the first that fills its rows


@dataclass(frozen=True)
class Level:
    """Where in a body the slice of a volume that is drawn lies, counted from 1 at the feet: as the
    network was given it, and which slices of the series, as it is stored, it is the mean of.
    """

    number: int
    count: int
    first: int
    last: int
    stored: int


def level_of(image: ImageResult, count: int) -> Level | None:
    """That of the slice drawn, where the network was given `count`; None of no volume."""
    number = shown(image)
    if number is None or image.pixels is None or image.pixels.grid is None:
        return None
    stored = image.pixels.grid.shape[0]
    last = -(-(number + 1) * stored // count)  # rounded up
    return Level(number + 1, count, number * stored // count + 1, last, stored)


def shown(image: ImageResult) -> int | None:
    """Which slice of a volume is drawn, from 0 at the feet; None of an image that is none.

    The one that holds what speaks most for the class called; of a volume without an explanation,
    the middle one.
    """
    if image.pixels is None or image.pixels.grid is None:
        return None
    if image.explanation is None:
        return next(iter(image.pixels.inputs)).size[0] // 2
    local, told = image.explanation.local_evidence, image.answer
    sign = 1.0 if told is None or image.label == told.name else -1.0
    values = local.placed(sign) if local else sign * image.explanation.evidence.contributions
    return int(np.unravel_index(int(values.argmax()), values.shape)[0])


def plane(values: np.ndarray, number: int | None) -> np.ndarray:
    """A slice (H, W) of a volume (D, H, W); of an image, all of it."""
    return values if number is None else values[number]


def across(count: int) -> int:
    """How many of so many slices stand in a row."""
    return next((wide for wide in ACROSS if count % wide == 0), ACROSS[0])


def sheet(values: np.ndarray) -> np.ndarray:
    """All slices (D, H, W, ...) in rows, from the feet at the top left, as one image."""
    wide = across(len(values))
    rows = -(-len(values) // wide)
    places = np.zeros((rows * wide, *values.shape[1:]), values.dtype)
    places[: len(values)] = values
    grid = places.reshape(rows, wide, *values.shape[1:]).swapaxes(1, 2)
    height, width = values.shape[1:3]
    return grid.reshape(rows * height, wide * width, *values.shape[3:])
