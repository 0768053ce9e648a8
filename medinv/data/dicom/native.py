"""Uncompressed pixels: words as they lie in the file, and the bits of them that are stored."""

from dataclasses import dataclass

import numpy as np
import pydicom

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError

SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
)  # implicit and explicit VR, little endian, uncompressed
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True)
class Unused:
    """What lies in the bits of a word beside those stored (PS3.5 8.1.1)."""

    what: str  # for the record of what was done; empty where nothing lies there
    warning: str | None = None  # for what no element of the header declares
    padding: np.ndarray | None = None  # (rows, columns) True where the whole word is padding
    wrapped: bool = (
        False  # what is not declared lies above the stored bits: values may have wrapped
    )


def is_native(instance: Instance) -> bool:
    """Uncompressed grey levels of whole bytes, little endian."""
    return (
        instance.transfer_syntax in SYNTAXES
        and instance.samples == 1
        and instance.photometric != "PALETTE COLOR"
        and instance.bits_allocated in (8, 16)
    )


def words(data: bytes, instance: Instance, frame: int) -> np.ndarray:
    """A frame of whole bytes, as it lies there: (rows, columns), a view."""
    kind = np.dtype(f"<{'i' if instance.signed else 'u'}{instance.bits_allocated // 8}")
    pixels = instance.rows * instance.columns
    return np.frombuffer(data, kind, pixels, frame * pixels * kind.itemsize).reshape(
        instance.rows, instance.columns
    )


def single_bits(data: bytes, instance: Instance, frame: int) -> np.ndarray:
    """Bits of a frame that may start within a byte: pydicom drops the byte in which such a frame
    ends."""
    pixels = instance.rows * instance.columns
    start, inside = divmod(frame * pixels, 8)
    bits = np.unpackbits(
        np.frombuffer(data, "u1")[start : start + -(-(inside + pixels) // 8)], bitorder="little"
    )
    return bits[inside : inside + pixels].reshape(instance.rows, instance.columns)


def frame_bytes(data: bytes, instance: Instance) -> tuple[bytes, str | None]:
    """The bytes of all frames, and what the header says nothing of.

    Raises PixelDataError if there are too few.
    """
    # of YBR_FULL_422 two pixels share their chroma
    samples = 2 if instance.photometric.endswith("_422") else instance.samples
    bits = instance.rows * instance.columns * samples * instance.bits_allocated
    expected = -(-instance.frames * bits // 8)
    if len(data) < expected:
        frames = f"{instance.frames} frames of " if instance.frames > 1 else ""
        raise PixelDataError(
            f"{frames}{instance.rows} x {instance.columns} pixels of "
            f"{samples * instance.bits_allocated} bits need {expected} bytes, found {len(data)}: "
            "the pixel data are truncated, or rows and columns are wrong",
            path=instance.source,
            stage="read",
        )
    padded = expected + expected % 2
    return data[:padded], _uncounted(len(data), padded, instance.frames, bits)


def _uncounted(size: int, padded: int, frames: int, bits: int) -> str | None:
    if size <= padded:
        return None
    there = size * 8 // bits
    if there > frames:
        return (
            f"the Pixel Data hold {there} frames, the header counts {frames}: "
            f"{there - frames} are not read"
        )
    return f"the Pixel Data hold {size - padded} bytes more than the header counts: not read"


def stored_bits(pixels: np.ndarray, instance: Instance, high: int) -> np.ndarray:
    """Drop the bits that are not stored, `high` being the highest that is; extend the sign.

    It is the very array that was given if that needs neither.
    """
    width, bits = 8 * pixels.dtype.itemsize, instance.bits_stored
    if high + 1 > width or instance.bits_allocated == 1 or bits >= width:
        return pixels
    lowest, highest = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if instance.signed else (0, (1 << bits) - 1)
    )
    if high == bits - 1 and pixels.min() >= lowest and pixels.max() <= highest:
        return pixels
    shifted = pixels.view(f"u{width // 8}") << (width - 1 - high)
    return shifted.view(f"{'i' if instance.signed else 'u'}{width // 8}") >> (width - bits)


def unused_bits(
    pixels: np.ndarray, stored: np.ndarray, dataset: pydicom.Dataset, instance: Instance
) -> Unused:
    """Tell overlays and padding from what nothing declares."""
    if stored is pixels:
        return Unused("")
    size = pixels.dtype.itemsize
    kind = f"u{size}"
    high, bits = instance.high_bit, instance.bits_stored
    mask = ((1 << bits) - 1) << (high - bits + 1)
    rest = pixels.view(kind) & np.array(~mask & (1 << 8 * size) - 1, kind)
    if instance.signed:  # an extended sign is no rubbish
        above = np.array((1 << 8 * size) - (1 << high + 1), kind)
        extended = (stored < 0) & ((rest & above) == above)
        rest = np.where(extended, rest & ~above, rest)
    padding = _padding(pixels, dataset, instance)
    if padding is not None:
        rest = np.where(padding, 0, rest)
    what = ["unused bits dropped"]
    declared = np.array(
        sum({1 << bit for bit in _overlay_bits(dataset)}) & (1 << 8 * size) - 1, kind
    )
    if (rest & declared).any():
        what = ["overlay in unused bits dropped"]
    if padding is not None:
        what.append("padding in unused bits")
    warning, undeclared = None, rest & ~declared
    if undeclared.any():
        warning = (
            f"pixels hold more than the {bits} bits stored, and nothing in the header declares the "
            "rest: dropped"
        )
    wrapped = bool((undeclared >> high >> 1).any())
    return Unused(", ".join(what), warning, padding, wrapped)


def _padding(pixels: np.ndarray, dataset: pydicom.Dataset, instance: Instance) -> np.ndarray | None:
    """Where the word is a PixelPaddingValue that the stored bits cannot hold."""
    width = 8 * pixels.dtype.itemsize
    value = Fields(dataset).integer("PixelPaddingValue", signed=instance.signed)
    if value is None:
        return None
    lowest, highest = (
        (-(1 << instance.bits_stored - 1), (1 << instance.bits_stored - 1) - 1)
        if instance.signed
        else (0, (1 << instance.bits_stored) - 1)
    )
    if lowest <= value <= highest:
        return None
    padded = pixels.view(f"u{width // 8}") == value % (1 << width)
    return padded if padded.any() else None


def _overlay_bits(dataset: pydicom.Dataset) -> set[int]:
    """Positions of overlays that lie in the pixels' own words (PS3.3 C.9.2)."""
    bits = set()
    for group in _OVERLAY_GROUPS:
        if (group, 0x0102) not in dataset or (group, 0x3000) in dataset:
            continue
        position = dataset[group, 0x0102].value
        if isinstance(position, int) and 0 <= position < 32:
            bits.add(position)
    return bits
