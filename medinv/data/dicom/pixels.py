"""The pixels of one image: as stored, in the modality's units, and as a radiologist expects to see them."""

import hashlib
from dataclasses import dataclass

import numpy as np

from medinv.data.dicom.decode import decode
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.grey import modality_values, padding_mask, voi_levels
from medinv.data.dicom.index import open_dataset
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError


@dataclass(frozen=True)
class Pixels:
    """All arrays are (rows, columns)."""

    stored: np.ndarray  # integers as stored, unused bits removed
    modality: np.ndarray  # float64, after Modality LUT or rescale (Hounsfield units for CT)
    display: np.ndarray  # uint8 0..255 as shown on a monitor, bright = attenuating in radiography and CT; padding is 0
    policy: str  # what was applied, in order
    aspect: float  # height of a pixel / its width
    spacing: tuple[float, float] | None  # mm between rows, between columns
    sha256: str  # of `stored`, row by row, little endian
    lossy: bool  # the pixels went through a lossy compression
    warnings: tuple[str, ...] = ()


def read_pixels(instance: Instance) -> Pixels:
    """Read, decode and display one image.

    Order: stored bits, Modality LUT or rescale, VOI LUT or first window or else the full range of the pixels that are no padding,
    inversion for MONOCHROME1 or an inverse presentation LUT, padding darkest.
    Raises PixelDataError (truncated or undecodable data) and what `open_dataset` raises.
    """
    dataset = open_dataset(instance)
    stored, decoder = decode(dataset, instance)
    fields = Fields(dataset)
    try:
        modality, display, policy = _show(stored, fields, instance)
    except (ValueError, OverflowError, MemoryError) as error:
        message = f"the grey levels cannot be computed ({type(error).__name__}): the header's grey scale elements are damaged"
        raise PixelDataError(message, path=instance.source, stage="grey levels") from error
    sign = "signed" if instance.signed else "unsigned"
    return Pixels(
        stored=stored,
        modality=modality,
        display=display,
        policy="; ".join([f"{instance.bits_stored} bits {sign}, {decoder}{' (lossy)' if instance.lossy else ''}", *policy]),
        aspect=instance.geometry.aspect,
        spacing=instance.geometry.spacing,
        sha256=hashlib.sha256(np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))).hexdigest(),
        lossy=instance.lossy,
        warnings=(*instance.warnings, *fields.warnings),
    )


def _show(stored: np.ndarray, fields: Fields, instance: Instance) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Modality values and display of the stored pixels, through tables: an image has far fewer values than pixels."""
    lowest, highest = int(stored.min()), int(stored.max())
    if highest - lowest > 1 << 17:  # 32-bit images
        return _grey_levels(stored, np.ones(stored.shape, bool), fields, instance)
    index = np.subtract(stored, lowest, dtype=np.intp)
    values = np.arange(lowest, highest + 1).astype(stored.dtype)
    present = np.zeros(values.shape, bool)
    present[index] = True
    modality, display, policy = _grey_levels(values, present, fields, instance)
    return modality[index], display[index], policy


def _grey_levels(
    values: np.ndarray, present: np.ndarray, fields: Fields, instance: Instance
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Modality values and display levels of stored values, of which those `present` occur in the image."""
    padding = padding_mask(values, fields)
    modality, rescaled = modality_values(values, fields)
    if not np.isfinite(modality).all():
        raise ValueError("rescale overflows")
    levels, shown = voi_levels(modality, fields, present & ~padding)
    policy = [rescaled, shown]
    # MONOCHROME1 and the shape INVERSE state the same fact twice (PS3.3 C.8.11.3.1.2), so they do not cancel.
    shape, dark_is_high = fields.text("PresentationLUTShape"), instance.photometric == "MONOCHROME1"
    if shape == ("IDENTITY" if dark_is_high else "INVERSE"):
        fields.warnings.append(f"{instance.photometric} contradicts PresentationLUTShape {shape}: shown inverted")
    if dark_is_high or shape == "INVERSE":
        levels = 1 - levels
        policy.append("inverted")
    display = np.rint(levels * 255).astype(np.uint8)
    if (padding & present).any():
        display[padding] = 0
        policy.append("padding darkest")
    return modality, display, policy
