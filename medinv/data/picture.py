"""Pictures (PNG, JPEG, TIFF, WebP) as images: found by what they hold, not by their names.

No header says whose a picture is or what it shows: each is a study of its own, of an unknown
patient, and its modality is `picture`, which a model's rules must name. Nothing of its metadata is
read but the orientation that a camera notes (EXIF).
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medinv.data.dicom.archive import DECOMPRESSION_FAULTS, damaged
from medinv.data.dicom.location import Location
from medinv.data.dicom.orientation import STORED, Turn
from medinv.data.dicom.records import Instance, Skipped
from medinv.errors import DataError, MedinvError, PixelDataError

if TYPE_CHECKING:  # else brought where it is needed: few folders hold pictures
    from PIL import ImageFile

MODALITY = "picture"
MOST_PIXELS = 1 << 27  # values of a picture; beyond it a damaged header would fill the memory
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BLACK = (0, 0, 0, 255)
# By Pillow's mode: samples and bits of a pixel. A palette is looked up first.
_KINDS = {
    "1": (1, 8), "L": (1, 8), "LA": (1, 8), "I;16": (1, 16), "I;16B": (1, 16), "I;16L": (1, 16),
    "RGB": (3, 8), "RGBA": (3, 8), "RGBX": (3, 8), "YCbCr": (3, 8),
}  # fmt: skip
# From the picture as stored to how it was held, by EXIF's Orientation.
_TURNS = {
    2: Turn(flip_columns=True),
    3: Turn(flip_rows=True, flip_columns=True),
    4: Turn(flip_rows=True),
    5: Turn(transpose=True),
    6: Turn(transpose=True, flip_columns=True),
    7: Turn(transpose=True, flip_rows=True, flip_columns=True),
    8: Turn(transpose=True, flip_rows=True),
}
_ORIENTATION, _MIN_IS_WHITE = 0x0112, 0  # EXIF's tag; TIFF's PhotometricInterpretation


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    # grey levels (rows, columns) of 8 or 16 bits, or colours (rows, columns, 3) of 8
    stored: np.ndarray
    turn: Turn  # from `stored` to the picture as it was held
    how: tuple[str, ...]  # it was decoded, in order
    warnings: tuple[str, ...]


def is_picture(location: Location) -> bool:
    """By its first bytes. Raises what `Location.open` raises."""
    with location.open() as stream:
        try:
            start = stream.read(12)
        except DECOMPRESSION_FAULTS as error:
            raise damaged(location.source, error) from error
    return start.startswith(_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def read_picture_header(location: Location) -> Instance | Skipped:
    """The picture as an image of one study of its own, or why it is not one.

    Raises PixelDataError for one that is damaged or too large, and what `Location.open` raises.
    """
    with _opened(location, "header") as image:
        kind = _kind(image)
        if kind is None:
            says = (
                f"a picture in {image.mode} ({image.format}): grey levels of 8 or 16 bits and "
                "colours in red, green and blue are read; convert it"
            )
            return Skipped(location.source, None, None, "picture-kind", says)
        if _pages(image):
            says = "several pages or frames in one picture: save each as a picture of its own"
            return Skipped(location.source, None, None, "picture-pages", says)
        samples, bits = kind
        columns, rows = image.size
        if rows * columns * samples > MOST_PIXELS:
            raise _too_large(location, f"{rows} x {columns} pixels are")
        return _instance(location, (rows, columns, samples), bits, _is_lossy(image))


def read_picture(instance: Instance) -> Picture:
    """Decode an indexed picture.

    Transparent parts become black. Raises as `read_picture_header`, and DataError if the file is no
    longer the one that was indexed.
    """
    with _opened(instance.location, "decode") as image:
        columns, rows = image.size
        if _kind(image) != (instance.samples, instance.bits_stored) or (rows, columns) != (
            instance.rows,
            instance.columns,
        ):
            raise DataError(
                "the file is another one than when it was indexed: index it again",
                path=instance.source,
            )
        # TIFF's orientation is applied by the decoder
        noted, said = (None, []) if image.format == "TIFF" else _noted_orientation(image)
        turn = _TURNS.get(noted or 1, STORED)
        how = [f"{instance.bits_stored} bits, {image.format}{' (lossy)' * instance.lossy}"]
        how += ["palette"] * (image.mode == "P") + ["16 bits of a colour, of which 8 are kept"] * (
            _narrowed(image)
        )
        beside = getattr(image, "n_frames", 1) - 1 if image.format == "MPO" else 0
        stored, transparent = _values(image, instance.samples)
    if transparent:
        said.append("transparent parts of the picture are shown black")
    if beside:
        said.append(f"{beside} more pictures in the file, which a camera keeps beside it: not read")
    how += [f"{turn} (EXIF orientation)"] if turn else []
    return Picture(stored, turn, tuple(how), tuple(said))


@contextmanager
def _opened(location: Location, stage: str) -> "Iterator[ImageFile.ImageFile]":
    from PIL import Image

    with location.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they speak of large pictures, which are judged here
        try:
            with Image.open(stream, formats=_FORMATS) as image:
                yield image
        except MedinvError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(location, "more pixels are") from error
        # Pillow raises whatever it met: OSError, SyntaxError, ValueError, struct.error, ...
        except Exception as error:
            if location.member and isinstance(error, DECOMPRESSION_FAULTS):
                raise damaged(location.source, error) from error
            raise PixelDataError(
                f"the picture cannot be read ({type(error).__name__}): truncated, damaged, or of "
                "an unsupported kind",
                path=location.source,
                stage=stage,
            ) from error


def _kind(image: "ImageFile.ImageFile") -> tuple[int, int] | None:
    """Samples and bits of a pixel; None for a kind that is not read."""
    if image.mode == "P" and image.palette is not None:
        colours = np.array(image.getpalette("RGB"), int).reshape(-1, 3)
        return (1 if (colours == colours[:, :1]).all() else 3), 8
    return _KINDS.get(image.mode)


def _pages(image: "ImageFile.ImageFile") -> bool:
    """Whether there are several; what a camera keeps beside a photograph (MPO) does not count."""
    if image.format != "TIFF":
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _is_lossy(image: "ImageFile.ImageFile") -> bool:
    if image.format == "WEBP":
        stream = image.fp
        if stream is None:
            return True
        place = stream.tell()
        stream.seek(12)
        lossless = stream.read(4) == b"VP8L"
        stream.seek(place)
        return not lossless
    compression = str(image.info.get("compression", ""))
    return image.format in ("JPEG", "MPO") or any(
        name in compression for name in ("jpeg", "webp", "jpeg2000")
    )


def _noted_orientation(image: "ImageFile.ImageFile") -> tuple[int | None, list[str]]:
    try:
        return image.getexif().get(_ORIENTATION), []
    except Exception:  # of damaged metadata Pillow raises whatever it met
        return None, ["the picture's metadata (EXIF) are damaged: shown as it is stored"]


def _narrowed(image: "ImageFile.ImageFile") -> bool:
    """Whether the decoder keeps 8 of 16 bits."""
    raw = " ".join(str(tile[3]) for tile in image.tile)
    return ";16" in raw and not image.mode.startswith("I;16")


def _values(image: "ImageFile.ImageFile", samples: int) -> tuple[np.ndarray, bool]:
    """The picture as stored, and whether any part of it is transparent."""
    if image.mode.startswith("I;16"):
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(262) == _MIN_IS_WHITE  # type: ignore[attr-defined]  # of this format
        grey = np.asarray(image).astype(np.uint16)
        return (65535 - grey if white_is_zero else grey), False
    see_through = image.mode in ("LA", "RGBA") or "transparency" in image.info
    if not see_through:
        return np.array(image.convert("L" if samples == 1 else "RGB")), False
    from PIL import Image

    coloured = image.convert("RGBA")
    transparent = bool(np.asarray(coloured)[..., 3].min() < 255)
    behind = Image.new("RGBA", coloured.size, _BLACK)
    colours = np.array(Image.alpha_composite(behind, coloured).convert("RGB"))
    return (colours if samples == 3 else colours[..., 0].copy()), transparent


def _too_large(location: Location, what: str) -> PixelDataError:
    return PixelDataError(
        f"{what} announced, at most {MOST_PIXELS} values are read", path=location.source
    )


def _instance(location: Location, shape: tuple[int, int, int], bits: int, lossy: bool) -> Instance:
    rows, columns, samples = shape
    return Instance(
        source=location.source,
        location=location,
        study_uid=None,
        series_uid=None,
        sop_uid="picture-" + hashlib.sha256(location.source.encode()).hexdigest()[:32],
        sop_class=None,
        modality=MODALITY,
        body_part=None,
        view=None,
        laterality=None,
        patient_orientation=(),
        image_type=(),
        photometric="MONOCHROME2" if samples == 1 else "RGB",
        rows=rows,
        columns=columns,
        frames=1,
        samples=samples,
        bits_allocated=bits,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=False,
        transfer_syntax="",
        lossy=lossy,
        number=None,
        acquisition=None,
        echo=None,
        b_value=None,
        format="picture",
    )
