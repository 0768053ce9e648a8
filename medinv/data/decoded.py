"""Decoded images of every format that has single images, frame by frame: one table by format."""

from collections.abc import Callable, Collection, Iterator

import numpy as np

from medinv.data.dicom import pixels as dicom
from medinv.data.dicom.colour import POLICY, luma
from medinv.data.dicom.geometry import Geometry
from medinv.data.dicom.grey import Scale
from medinv.data.dicom.levels import Levels
from medinv.data.dicom.pixels import Pixels
from medinv.data.dicom.records import Instance
from medinv.data.picture import read_picture
from medinv.errors import PixelDataError


def decoded_frames(instance: Instance, only: Collection[int] | None = None) -> Iterator[Pixels]:
    """The frames of an image in order, each decoded when its turn comes; `only`: those numbers,
    from 1.

    Raises what `medinv.data.dicom.pixels.read_frames` and `medinv.data.picture.read_picture` do.
    """
    return _FORMATS[instance.format](instance, only)


def _dicom(instance: Instance, only: Collection[int] | None) -> Iterator[Pixels]:
    if only is None:
        return dicom.read_frames(instance)
    wanted = (index for index in range(instance.frames) if index + 1 in only)
    return (dicom.read_pixels(instance, index) for index in wanted)


def _picture(instance: Instance, only: Collection[int] | None) -> Iterator[Pixels]:
    if only is not None and 1 not in only:
        return
    picture = read_picture(instance)
    stored, coloured = picture.stored, picture.stored.ndim == 3
    grey = luma(stored) if coloured else stored
    levels, shown = _levels(grey)
    yield Pixels(
        stored=stored,
        words=stored,
        grey=grey,
        levels=levels,
        scale=None if coloured else Scale.full(instance.bits_stored, signed=False),
        bits_allocated=instance.bits_allocated,
        policy="; ".join((*picture.how, f"RGB to grey: {POLICY}" if coloured else shown)),
        geometry=picture.turn.geometry(Geometry(), instance.rows, instance.columns),
        lossy=instance.lossy,
        warnings=picture.warnings,
        turn=picture.turn,
        rgb=(lambda: stored) if coloured else None,
    )


def _levels(grey: np.ndarray) -> tuple[Levels, str]:
    """8 bits as they are; of 16 the picture's range, as of a DICOM image without a window."""
    if grey.dtype == np.uint8:
        values = np.arange(256, dtype=np.uint8)
        return Levels(values, values.astype(np.float64), values), "grey levels as stored"
    low, high = int(grey.min()), int(grey.max())
    values = np.arange(1 << 16, dtype=np.uint16)
    shown = np.clip((values - float(low)) * (255 / max(high - low, 1)), 0, 255)
    levels = Levels(values, values.astype(np.float64), np.rint(shown).astype(np.uint8))
    return levels, f"range of the picture, {low} to {high}"


def _nifti(instance: Instance, only: Collection[int] | None) -> Iterator[Pixels]:
    raise PixelDataError(
        "a NIfTI volume has no frames: this command reads DICOM images and pictures",
        path=instance.source,
    )


_FORMATS: dict[str, Callable[[Instance, Collection[int] | None], Iterator[Pixels]]] = {
    "dicom": _dicom,
    "picture": _picture,
    "nifti": _nifti,
}
