"""Grey levels: Modality LUT, VOI LUT or window, and the display of a radiologist's monitor (DICOM PS3.3 C.11.1, C.11.2)."""

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from medinv.data.dicom.fields import Fields


def modality_values(stored: np.ndarray, fields: Fields) -> tuple[np.ndarray, str]:
    """Stored pixels (H, W) as float64 after the Modality LUT or rescale, and what was done."""
    items = fields.sequence("ModalityLUTSequence")
    if items and (table := lookup_table(items[0], signed=stored.dtype.kind == "i")):
        return _look_up(stored, *table[:2]), "modality LUT"
    slope, intercept = fields.numbers("RescaleSlope", 1), fields.numbers("RescaleIntercept", 1)
    if slope is None or intercept is None or slope[0] == 0:
        if slope or intercept:
            fields.warnings.append("the rescale slope is zero, or slope or intercept is missing: left aside")
        return stored.astype(np.float64), "no rescale"
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        values = stored * slope[0] + intercept[0]
    return values, f"rescale slope {slope[0]:g} intercept {intercept[0]:g}"


def voi_levels(values: np.ndarray, fields: Fields, visible: np.ndarray) -> tuple[np.ndarray, str]:
    """Modality values (H, W) to float64 levels 0..1, and the policy: VOI LUT, else the first window, else the full range of `visible`."""
    items = fields.sequence("VOILUTSequence")
    if items and (table := lookup_table(items[0], signed=values.min() < 0)):
        entries, first, bits = table
        return _look_up(values, entries, first) / (2.0**bits - 1), "VOI LUT"
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    if centres and widths:
        function = fields.text("VOILUTFunction") or "LINEAR"
        levels = window(values, centres[0], widths[0], function)
        if levels is not None:
            return levels, f"window {centres[0]:g}/{widths[0]:g} {function}"
        fields.warnings.append("the window has an impossible width or an unknown function and was left aside")
    if not visible.any():
        return np.zeros(values.shape), "no visible pixel"
    low, high = float(values[visible].min()), float(values[visible].max())
    return np.clip((values - low) / ((high - low) or 1.0), 0, 1), f"full range {low:g}..{high:g}"


def window(values: np.ndarray, centre: float, width: float, function: str = "LINEAR") -> np.ndarray | None:
    """Levels 0..1 of a window (PS3.3 C.11.2.1.2 and C.11.2.1.3); None if the standard does not allow the width or the function."""
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if function != "LINEAR" or width < 1:
        return None
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def lookup_table(item: Dataset, *, signed: bool) -> tuple[np.ndarray, int, int] | None:
    """Entries, first value mapped, and bits of a LUT item; None if it contradicts itself (PS3.3 C.11.1.1)."""
    fields = Fields(item)
    descriptor = fields.numbers("LUTDescriptor", 3)
    element = fields.raw("LUTData")
    if descriptor is None or element is None or element.value is None:
        return None
    count, first, bits = int(descriptor[0]) or 1 << 16, int(descriptor[1]), int(descriptor[2])
    if signed and first > 0x7FFF:
        first -= 1 << 16
    entries = _entries(element, count, bits)
    if entries is None or not 1 <= bits <= 16 or not entries.any():
        return None
    return entries, first, max(bits, int(entries.max()).bit_length())


def _entries(element: object, count: int, bits: int) -> np.ndarray | None:
    """The table's numbers. 8-bit entries may lie one or two to a word."""
    value = element.value
    if not isinstance(value, (bytes, bytearray)):
        numbers = np.atleast_1d(np.asarray(value, dtype=np.int64)) & 0xFFFF
        return numbers[:count] if len(numbers) >= count else None
    little = not isinstance(element, RawDataElement) or element.is_little_endian
    if bits <= 8 and len(value) < 2 * count:
        numbers = np.frombuffer(value, "u1")
    else:
        numbers = np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2")
    return numbers[:count].astype(np.int64) if len(numbers) >= count else None


def _look_up(values: np.ndarray, entries: np.ndarray, first: int) -> np.ndarray:
    """Values below the table take its first entry, values above its last."""
    position = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[position].astype(np.float64)


def padding_mask(stored: np.ndarray, fields: Fields) -> np.ndarray:
    """(H, W) True where a pixel is padding: PixelPaddingValue, or the range up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""
    signed = stored.dtype.kind == "i"
    value = fields.integer("PixelPaddingValue", signed=signed)
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = fields.integer("PixelPaddingRangeLimit", signed=signed)
    bounds = [_as_signed(bound, stored) for bound in (value, value if limit is None else limit)]
    return (stored >= min(bounds)) & (stored <= max(bounds))


def _as_signed(value: int, stored: np.ndarray) -> int:
    """A padding value written as unsigned, though the pixels are signed."""
    bits = 8 * stored.dtype.itemsize
    return value - (1 << bits) if stored.dtype.kind == "i" and value >= 1 << (bits - 1) else value
