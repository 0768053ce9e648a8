"""The pixels of one image: as stored, in the modality's units, and as a radiologist expects to
see them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import pydicom

from medinv.data.dicom.colour import POLICY, grey_of, luma, palette_colours, rgb_of
from medinv.data.dicom.decode import Decoded, decode
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.frames import FrameHeaders
from medinv.data.dicom.geometry import Geometry
from medinv.data.dicom.grey import (
    Scale,
    grey_levels,
    header_scale,
    modality_values,
    padding_mask,
)
from medinv.data.dicom.index import open_dataset
from medinv.data.dicom.levels import Levels
from medinv.data.dicom.orientation import STORED, Turn, hanging
from medinv.data.dicom.records import Instance
from medinv.data.dicom.shutter import closed
from medinv.data.dicom.span import Span, hounsfield_span
from medinv.data.dicom.windowed import windowed_levels
from medinv.errors import MedinvError, PixelDataError

_SERIES = 4  # whose range is remembered


@dataclass(frozen=True)
class Pixels:
    """One frame, as stored and as shown. Arrays are (rows, columns); `stored` and `words` of a
    colour image are (rows, columns, 3).

    `stored`, `words` and `grey` lie as in the file, to which DICOM results refer; `display` and
    `modality` lie as the image is read, and `turn` takes the one to the other. What is costly is
    computed when it is first asked for.
    """

    stored: np.ndarray  # integers as stored, unused bits removed; do not write
    # unsigned, as in native Pixel Data: with the unused bits of a native file, else as `stored`
    words: np.ndarray
    grey: np.ndarray  # the integers that `levels` are of: `stored`, or the luma of colours
    levels: Levels
    # the affine map from `stored` to grey levels that the header gives, for the lossless intake;
    # None for colour
    scale: Scale | None
    bits_allocated: int
    policy: str  # what was applied, in order
    geometry: Geometry  # of the display
    lossy: bool  # the pixels went through a lossy compression
    frame: int = 0
    warnings: tuple[str, ...] = ()
    turn: Turn = STORED  # from `stored` to `display`
    # letters that rows and columns of the display run to, such as ("L", "F"); empty if not known
    orientation: tuple[str, ...] = ()
    dark: np.ndarray | None = None  # (rows, columns) as stored: True under a shutter or padding
    # what of the Pixel Data these arrays do not hold, or hold against the header; None if nothing
    contradicted: str | None = None
    # red, green and blue (rows, columns, 3) uint8, as stored; None for grey levels
    rgb: Callable[[], np.ndarray] | None = None

    @property
    def aspect(self) -> float:
        """Height of a pixel of the display / its width."""
        return self.geometry.aspect

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Of the display, mm between rows, between columns."""
        return self.geometry.spacing

    @cached_property
    def modality(self) -> np.ndarray:
        """float64, after Modality LUT or rescale (Hounsfield units for CT)."""
        return self.turn.apply(self.levels.modality_of(self.grey))

    @cached_property
    def display(self) -> np.ndarray:
        """uint8 0..255 as shown on a monitor, bright = attenuating in radiography and CT;
        padding and what shutters cover are 0."""
        shown = self.levels.display_of(self.grey)
        if self.dark is not None:
            shown[self.dark] = 0
        return np.ascontiguousarray(self.turn.apply(shown))

    @cached_property
    def colours(self) -> np.ndarray | None:
        """(rows, columns, 3) uint8 as shown, dark where `display` is; None of grey levels."""
        if self.rgb is None:
            return None
        shown = self.rgb()
        if self.dark is not None:
            shown = np.where(self.dark[..., None], np.uint8(0), shown)
        return np.ascontiguousarray(self.turn.apply(shown))

    @cached_property
    def sha256(self) -> str:
        """Of `stored`, row by row, little endian, colour by pixel."""
        little = np.ascontiguousarray(self.stored, self.stored.dtype.newbyteorder("<"))
        return hashlib.sha256(little.data).hexdigest()


def read_pixels(instance: Instance, frame: int = 0) -> Pixels:
    """Read, decode and display one frame of an image.

    Order: stored bits, colour to luma, Modality LUT or rescale, VOI LUT or first window or else
    what `span` decides or the full range of the pixels that are no padding, inversion for
    MONOCHROME1 or an inverse presentation LUT, padding and what display shutters cover darkest,
    frontal projections turned to L\\F. Functional groups of the frame go before those that all
    frames share. Raises
    PixelDataError (truncated or undecodable data, no such frame) and what `open_dataset` raises.
    """
    _check_dicom(instance)
    if not 0 <= frame < instance.frames:
        raise PixelDataError(
            f"frame {frame} was asked for, the image has {instance.frames}, from 0",
            path=instance.source,
        )
    dataset = open_dataset(instance)
    return _frame(dataset, FrameHeaders(Fields(dataset)), instance, frame)


def read_frames(instance: Instance) -> Iterator[Pixels]:
    """Every frame of an image in order, as `read_pixels` gives them.

    The file is read once, each frame is decoded when its turn comes.
    """
    _check_dicom(instance)
    dataset = open_dataset(instance)
    headers = FrameHeaders(Fields(dataset))
    for frame in range(instance.frames):
        yield _frame(dataset, headers, instance, frame)


def _check_dicom(instance: Instance) -> None:
    if instance.format != "dicom":
        raise PixelDataError(
            "not a DICOM image: read it with medinv.data.decoded, a NIfTI volume with "
            "medinv.data.nifti",
            path=instance.source,
        )


def _frame(
    dataset: pydicom.Dataset, headers: FrameHeaders, instance: Instance, frame: int
) -> Pixels:
    decoded, fields = decode(dataset, instance, frame), headers[frame]
    seen = decoded.instance
    try:
        covered, shutter = closed(fields, decoded.stored.shape[:2])
        grey, levels, scale, policy, rgb = _shown(decoded, dataset, fields, seen, covered)
    except (ValueError, OverflowError, MemoryError) as error:
        message = (
            f"the grey levels cannot be computed ({type(error).__name__}): the header's grey scale "
            "elements are damaged"
        )
        raise PixelDataError(message, path=instance.source, stage="grey levels") from error
    geometry = instance.frame_geometry[frame] if instance.frame_geometry else instance.geometry
    hung = hanging(instance)
    sign = "signed" if seen.signed else "unsigned"
    lossy = " (lossy)" if instance.lossy else ""
    done = [f"{seen.bits_stored} bits {sign}, {decoded.how}{lossy}", *policy, shutter, hung.says]
    masks = [mask for mask in (decoded.padding, covered) if mask is not None]
    said = (*instance.warnings, *decoded.warnings, *fields.warnings, *hung.warnings)
    return Pixels(
        stored=decoded.stored,
        words=decoded.words,
        grey=grey,
        levels=levels,
        scale=scale,
        bits_allocated=instance.bits_allocated,
        policy="; ".join(filter(None, done)),
        geometry=hung.turn.geometry(geometry, instance.rows, instance.columns),
        lossy=instance.lossy,
        frame=frame,
        warnings=tuple(dict.fromkeys((*said, *([shutter] if shutter else [])))),
        turn=hung.turn,
        orientation=hung.shown,
        dark=np.logical_or.reduce(masks) if masks else None,
        contradicted=decoded.contradicted,
        rgb=rgb,
    )


def _shown(
    decoded: Decoded,
    dataset: pydicom.Dataset,
    fields: Fields,
    instance: Instance,
    covered: np.ndarray | None,
) -> tuple[np.ndarray, Levels, Scale | None, list[str], Callable[[], np.ndarray] | None]:
    """Integers to show, their levels, their affine scale, what was done, and the colours."""
    if instance.photometric == "PALETTE COLOR":
        values = np.arange(int(decoded.stored.max()) + 1, dtype=decoded.stored.dtype)
        try:
            colours, bits = palette_colours(values, dataset)
        except (
            Exception
        ) as error:  # pydicom raises whatever it met: AttributeError, KeyError, ValueError, ...
            raise ValueError("palette") from error
        top, table = (1 << bits) - 1, luma(colours)
        levels = Levels(
            values, table.astype(np.float64), np.rint(table * (255 / top)).astype(np.uint8)
        )
        entries = rgb_of(colours, "RGB", bits)
        policy = [f"palette of {bits} bits, {POLICY}"]
        return decoded.stored, levels, None, policy, lambda: entries[decoded.stored]
    if instance.samples == 1:
        grey = _without_padding(decoded)
        span = partial(_span, fields, instance, grey, covered)
        levels, policy = windowed_levels(grey, fields, instance) or grey_levels(
            grey, fields, instance, span
        )
        return grey, levels, header_scale(fields, instance, span), policy, None
    grey, top = grey_of(decoded.stored, decoded.photometric), (1 << instance.bits_stored) - 1
    values = (
        np.arange(int(grey.max()) + 1, dtype=grey.dtype)
        if grey.dtype.itemsize < 4
        else np.unique(grey)
    )
    shown = np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8)
    policy = [f"{decoded.photometric} to grey: {POLICY}"]
    levels = Levels(values, values.astype(np.float64), shown)
    bits = instance.bits_stored
    return (
        grey, levels, None, policy, lambda: rgb_of(decoded.stored, decoded.photometric, bits)
    )  # fmt: skip


def _span(
    fields: Fields, instance: Instance, grey: np.ndarray, covered: np.ndarray | None
) -> Span | None:
    """What is shown without a window; what a shutter hides does not count."""
    decided = hounsfield_span(fields, instance) or _series_span(instance.shown_by)
    if decided is not None or covered is None:
        return decided
    ends = _ends(grey, fields, covered)
    return Span(*ends, f"full range {ends[0]:g}..{ends[1]:g} within the shutter") if ends else None


@lru_cache(_SERIES)
def _series_span(frames: tuple[tuple[Instance, int], ...]) -> Span | None:
    """Of the values of some frames of a series together; None where none of them can be read."""
    ends: list[float] = []
    for instance, frame in frames:
        with suppress(MedinvError):  # it is told where it is read for itself
            dataset = open_dataset(instance)
            decoded, fields = decode(dataset, instance, frame), FrameHeaders(Fields(dataset))[frame]
            grey = _without_padding(decoded)
            ends += _ends(grey, fields, closed(fields, grey.shape)[0]) or ()
    if not ends:
        return None
    low, high = min(ends), max(ends)
    policy = f"no window: shown from {low:g} to {high:g}, the range of {len(frames)} of its series"
    return Span(low, high, policy)


def _ends(
    grey: np.ndarray, fields: Fields, covered: np.ndarray | None
) -> tuple[float, float] | None:
    """Smallest and largest modality value that is no padding and under no shutter; None where
    there is none."""
    values = np.unique(grey if covered is None else grey[~covered])
    modality, _ = modality_values(values[~padding_mask(values, fields)], fields)
    if not modality.size or not np.isfinite(modality).all():
        return None
    return float(modality.min()), float(modality.max())


def _without_padding(decoded: Decoded) -> np.ndarray:
    """Stored pixels, where unused bits make a word padding the smallest of the others, so that the
    range shown is theirs."""
    padding = decoded.padding
    if padding is None or padding.all():
        return decoded.stored
    return np.where(padding, decoded.stored[~padding].min(), decoded.stored)
