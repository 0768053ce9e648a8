"""Grey levels: Modality LUT, VOI LUT or window, and the display of a radiologist's monitor
(DICOM PS3.3 C.11.1, C.11.2)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.levels import Levels
from medinv.data.dicom.records import Instance
from medinv.data.dicom.span import Span

_WIDEST_TABLE = 1 << 17  # values; images of 32 bits get a table of the values they hold


@dataclass(frozen=True)
class Scale:
    """The affine map `factor * stored + offset` to grey levels, 0..255 where the header's window
    lies; nothing is clipped or rounded."""

    factor: float
    offset: float
    policy: str

    @staticmethod
    def full(bits: int, *, signed: bool) -> "Scale":
        """All values that so many bits can hold."""
        lowest = -(1 << bits - 1) if signed else 0
        return Scale.between(lowest, lowest + (1 << bits) - 1, f"all of {bits} bits")

    @staticmethod
    def between(lowest: float, highest: float, policy: str) -> "Scale":
        """0 at `lowest` and 255 at `highest`."""
        factor = 255 / (highest - lowest)
        return Scale(factor, -lowest * factor, policy)


def grey_levels(
    stored: np.ndarray,
    fields: Fields,
    instance: Instance,
    span: Callable[[], Span | None] = lambda: None,
) -> tuple[Levels, list[str]]:
    """Modality values and display of the stored values, and what was done.

    `span` is asked for the range of values to show where neither table nor window is there.
    Raises ValueError if the rescale overflows.
    """
    lowest, highest = int(stored.min()), int(stored.max())
    wide = highest - lowest > _WIDEST_TABLE
    values = np.unique(stored) if wide else np.arange(lowest, highest + 1).astype(stored.dtype)
    padding = padding_mask(values, fields)
    # Which values occur matters only to the range that is shown, and to padding.
    seen = wide or (not padding.any() and fields.has("WindowCenter"))
    present = np.ones(values.shape, bool) if seen else _present(stored, values)
    modality, rescaled = modality_values(values, fields)
    if not np.isfinite(modality).all():
        raise ValueError("rescale overflows")
    lowest_of_all = lowest_value(fields, instance.bits_stored, signed=instance.signed)
    levels, shown = voi_levels(modality, fields, present & ~padding, lowest_of_all, span)
    policy = [rescaled, shown]
    if inverted(fields, instance):
        levels = 1 - levels
        policy.append("inverted")
    display = np.rint(levels * 255).astype(np.uint8)
    if (padding & present).any():
        display[padding] = 0
        policy.append("padding darkest")
    return Levels(values, modality, display), policy


def _present(stored: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) bool: which of a run of values occur."""
    if stored.dtype.itemsize > 2:
        occurs = np.zeros(values.shape, bool)
        occurs[np.subtract(stored, values[0], dtype=np.int64)] = True
        return occurs
    occurring = np.zeros(1 << 8 * stored.dtype.itemsize, bool)
    occurring[stored.view(f"u{stored.dtype.itemsize}")] = True
    return occurring[values.view(f"u{stored.dtype.itemsize}")]


def inverted(fields: Fields, instance: Instance) -> bool:
    """MONOCHROME1 and the shape INVERSE state the same fact twice (PS3.3 C.8.11.3.1.2), so they
    do not cancel."""
    shape, dark_is_high = fields.text("PresentationLUTShape"), instance.photometric == "MONOCHROME1"
    if shape == ("IDENTITY" if dark_is_high else "INVERSE"):
        warning = f"{instance.photometric} contradicts PresentationLUTShape {shape}: shown inverted"
        fields.warnings += [warning] * (warning not in fields.warnings)
    return dark_is_high or shape == "INVERSE"


def header_scale(
    fields: Fields, instance: Instance, span: Callable[[], Span | None] = lambda: None
) -> Scale:
    """The grey levels that the header's numbers alone give: rescale and first window, made
    affine.

    A sigmoid becomes its tangent. Where a look-up table stands in the way, or no usable window is
    there, the `span` that was decided on, or that between the smallest and the largest pixel value
    that the header states, or else of all stored bits. MONOCHROME1 counts down.
    """
    scale = _windowed(fields) or _decided(fields, span) or _spanned(fields, instance)
    if inverted(fields, instance):
        return Scale(-scale.factor, 255 - scale.offset, f"{scale.policy}; inverted")
    return scale


def _windowed(fields: Fields) -> Scale | None:
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    if (
        fields.raw("ModalityLUTSequence") is not None
        or fields.raw("VOILUTSequence") is not None
        or not centres
        or not widths
    ):
        return None
    function = fields.text("VOILUTFunction") or "LINEAR"
    centre, width = (
        (centres[0] - 0.5, widths[0] - 1) if function == "LINEAR" else (centres[0], widths[0])
    )
    slope, intercept = (
        fields.numbers("RescaleSlope", 1) or (1.0,),
        fields.numbers("RescaleIntercept", 1) or (0.0,),
    )
    if not width > 0 or function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or slope[0] == 0:
        return None
    factor = slope[0] * 255 / width
    if not 1e-12 < abs(factor) < 1e12:
        return None
    tangent = ", tangent" if function == "SIGMOID" else ""
    policy = (
        f"slope {slope[0]:g} intercept {intercept[0]:g}, window {centres[0]:g}/{widths[0]:g} "
        f"{function}{tangent}"
    )
    return Scale(factor, ((intercept[0] - centre) / width + 0.5) * 255, policy)


def _decided(fields: Fields, span: Callable[[], Span | None]) -> Scale | None:
    if any(fields.raw(table) is not None for table in ("ModalityLUTSequence", "VOILUTSequence")):
        return None
    decided, slope = span(), (fields.numbers("RescaleSlope", 1) or (1.0,))[0]
    if decided is None or decided.low == decided.high or not 1e-12 < abs(slope) < 1e12:
        return None
    intercept = (fields.numbers("RescaleIntercept", 1) or (0.0,))[0]
    scale = Scale.between(decided.low, decided.high, decided.policy)
    return Scale(scale.factor * slope, scale.factor * intercept + scale.offset, scale.policy)


def _spanned(fields: Fields, instance: Instance) -> Scale:
    lowest, highest = (
        fields.integer(f"{name}ImagePixelValue", signed=instance.signed)
        for name in ("Smallest", "Largest")
    )
    if lowest is not None and highest is not None and lowest < highest:
        return Scale.between(lowest, highest, f"header's range {lowest}..{highest}")
    return Scale.full(instance.bits_stored, signed=instance.signed)


def modality_values(stored: np.ndarray, fields: Fields) -> tuple[np.ndarray, str]:
    """Stored pixels (H, W) as float64 after the Modality LUT or rescale, and what was done."""
    items = fields.sequence("ModalityLUTSequence")
    table = lookup_table(items[0], signed=stored.dtype.kind == "i") if items else None
    if table is not None:
        return _look_up(stored, table), "modality LUT"
    if items:
        fields.warnings.append("the modality LUT contradicts itself and was left aside")
    slope, intercept = fields.numbers("RescaleSlope", 1), fields.numbers("RescaleIntercept", 1)
    if slope is None or intercept is None or slope[0] == 0:
        if slope or intercept:
            fields.warnings.append(
                "the rescale slope is zero, or slope or intercept is missing: left aside"
            )
        return stored.astype(np.float64), "no rescale"
    return rescaled(stored, slope[0], intercept[0])


def rescaled(stored: np.ndarray, slope: float, intercept: float) -> tuple[np.ndarray, str]:
    """Stored pixels as float64, not always finite, and what was done."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        return stored * slope + intercept, f"rescale slope {slope:g} intercept {intercept:g}"


def voi_levels(
    values: np.ndarray,
    fields: Fields,
    visible: np.ndarray,
    lowest: float,
    span: Callable[[], Span | None] = lambda: None,
) -> tuple[np.ndarray, str]:
    """Modality values (H, W) to float64 levels 0..1, and the policy: VOI LUT, else the first
    window, else the `span` that was decided on, else the full range of `visible`. `lowest`: the
    smallest value that the header's bits and rescale can give, which settles the sign of a table's
    first value for all images of a series."""
    items = fields.sequence("VOILUTSequence")
    table = lookup_table(items[0], signed=lowest < 0) if items else None
    if table is not None:
        fields.warnings += [one for one in table.warnings if one not in fields.warnings]
        return _look_up(values, table) / (2.0**table.bits - 1), "VOI LUT"
    if items:
        fields.warnings.append("the VOI LUT contradicts itself and was left aside")
    chosen = usable_window(fields)
    if chosen is not None:
        levels = window(values, *chosen)
        if levels is not None:
            return levels, window_policy(*chosen)
    elif fields.has("WindowCenter") and fields.has("WindowWidth"):
        fields.warnings.append(
            "the window has an impossible width or an unknown function and was left aside"
        )
    decided = span()
    if decided is None and not visible.any():
        return np.zeros(values.shape), "no visible pixel"
    if decided is None:
        low, high = float(values[visible].min()), float(values[visible].max())
        decided = Span(low, high, f"full range {low:g}..{high:g}")
    width = (decided.high - decided.low) or 1.0
    return np.clip((values - decided.low) / width, 0, 1), decided.policy


def usable_window(fields: Fields) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window, as far as the standard allows them."""
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    if not centres or not widths:
        return None
    function = fields.text("VOILUTFunction") or "LINEAR"
    known = window(np.zeros(1), centres[0], widths[0], function) is not None
    return (centres[0], widths[0], function) if known else None


def lowest_value(fields: Fields, bits: int, *, signed: bool) -> float:
    """The smallest modality value that any pixel of so many bits could have, by its header."""
    ends = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    items = fields.sequence("ModalityLUTSequence")
    if items and lookup_table(items[0], signed=signed) is not None:
        return 0.0  # entries are unsigned
    slope, intercept = fields.numbers("RescaleSlope", 1), fields.numbers("RescaleIntercept", 1)
    if slope is None or intercept is None or slope[0] == 0:
        return float(ends[0])
    return min(end * slope[0] + intercept[0] for end in ends)


def window(
    values: np.ndarray, centre: float, width: float, function: str = "LINEAR"
) -> np.ndarray | None:
    """Levels 0..1 of a window (PS3.3 C.11.2.1.2 and C.11.2.1.3); None if the standard does not
    allow the width or the function."""
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if function != "LINEAR" or width < 1:
        return None
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def window_policy(centre: float, width: float, function: str) -> str:
    """A window in words."""
    return f"window {centre:g}/{width:g} {function}"


@dataclass(frozen=True)
class Table:
    """A look-up table: entries from the first value mapped on, and the bits that they fill."""

    entries: np.ndarray
    first: int
    bits: int
    warnings: tuple[str, ...] = ()


def lookup_table(item: Dataset, *, signed: bool) -> Table | None:
    """Of a LUT item; None if it contradicts itself (PS3.3 C.11.1.1, C.11.2.1.1)."""
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
    filled = int(entries.max()).bit_length()
    if filled == bits:
        return Table(entries, first, bits)
    warning = f"a look-up table says {bits} bits and its entries fill {filled}: shown by those"
    return Table(entries, first, filled, (warning,))


def _entries(element: RawDataElement | DataElement, count: int, bits: int) -> np.ndarray | None:
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


def _look_up(values: np.ndarray, table: Table) -> np.ndarray:
    """Values below the table take its first entry, values above its last."""
    position = np.rint(values).astype(np.int64) - table.first
    return table.entries[np.clip(position, 0, len(table.entries) - 1)].astype(np.float64)


def padding_mask(stored: np.ndarray, fields: Fields) -> np.ndarray:
    """(H, W) True where a pixel is padding."""
    bounds = padding_bounds(stored.dtype, fields)
    return (
        np.zeros(stored.shape, bool)
        if bounds is None
        else (stored >= bounds[0]) & (stored <= bounds[1])
    )


def padding_bounds(dtype: np.dtype, fields: Fields) -> tuple[int, int] | None:
    """First and last value that is padding: PixelPaddingValue, or the range up to
    PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""
    signed = dtype.kind == "i"
    value = fields.integer("PixelPaddingValue", signed=signed)
    if value is None:
        return None
    limit = fields.integer("PixelPaddingRangeLimit", signed=signed)
    bounds = [_as_signed(bound, dtype) for bound in (value, value if limit is None else limit)]
    return min(bounds), max(bounds)


def _as_signed(value: int, dtype: np.dtype) -> int:
    """A padding value written as unsigned, though the pixels are signed."""
    bits = 8 * dtype.itemsize
    return value - (1 << bits) if dtype.kind == "i" and value >= 1 << (bits - 1) else value
