"""Which images: one class a data source."""

from typing import Annotated, Literal

from pydantic import Field

from medinv.config.base import Named

Side = Annotated[int, Field(ge=16, le=4096, multiple_of=4)]  # pixels, of a square or a cube
# Pixels along each axis: [H, W] or [D, H, W]. What a network can halve, its kind knows.
Sides = Annotated[
    tuple[Annotated[int, Field(ge=4, le=4096, multiple_of=4)], ...],
    Field(min_length=2, max_length=3),
]


class DataConfig(Named):
    """Which images, of `size` pixels a side, or along each axis. Each source has a class of its
    own, and most make squares alone."""

    by = "set"

    set: str
    size: Side | Sides


class PhantomData(DataConfig):
    """Generated radiographs: numbers of bodies for training, validation and testing.

    A training body is taken twice, with and without its opacity.
    """

    set: Literal["phantoms"] = "phantoms"
    size: Side
    counts: tuple[int, int, int]


class PhantomCtData(DataConfig):
    """Generated CT as volumes: numbers of bodies for training, validation and testing.

    A training body is taken twice, with and without its opacity.
    """

    set: Literal["phantom-ct"] = "phantom-ct"
    size: tuple[Side, Side, Side]
    counts: tuple[int, int, int]


class PreparedData(DataConfig):
    """Images that `medinv prepare` laid into a folder.

    A relative folder is looked for from the folder that holds the configuration file, then from
    the current one, then from the one that the environment variable MEDINV_DATA names. It does not
    count for what the weights depend on: the hash of the images does.
    """

    set: Literal["prepared"] = "prepared"
    folder: str
