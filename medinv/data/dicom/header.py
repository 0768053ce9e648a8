"""Reads the header of one file, and nothing of its pixels."""

import io
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.config import disable_value_validation
from pydicom.filereader import read_partial

from medinv.data.dicom import archive
from medinv.data.dicom.fields import Fields, tag_of
from medinv.data.dicom.labels import PRIVATE_TAGS
from medinv.data.dicom.location import Location
from medinv.errors import DataError, HeaderError, MedinvError, NotDicomError

KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "ViewPosition", "BurnedInAnnotation",
    "Laterality", "ImageLaterality", "ImageType", "InstanceNumber", "AcquisitionNumber", "EchoTime", "DiffusionBValue",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "LossyImageCompression", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "PixelAspectRatio", "PatientOrientation", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient", "GridFrameOffsetVector", "PixelDataProviderURL",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ViewCodeSequence", "SpecificCharacterSet", "SeriesDescription", "StudyDescription",
)  # fmt: skip
_TAGS = [*(tag_of(keyword) for keyword in KEYWORDS), *PRIVATE_TAGS]
_PIXEL_ELEMENTS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_FIRST = 1 << 14  # bytes that hold most headers whole
_MOST_INFLATED = 4 << 30  # bytes


@dataclass(frozen=True)
class Header:
    """The elements of interest, and what ended the header."""

    fields: Fields
    syntax: str  # TransferSyntaxUID; implicit VR little endian if the file does not say
    meta: Fields  # of the file meta information
    pixels: str | None  # keyword of the pixel element that follows, None if there is none
    cut: bool  # the file ends within an element


def read_header(location: Location, *, named: bool) -> Header | None:
    """The header of a file, or None if it is not DICOM and nothing claimed that it is.

    A file without the DICM prefix is tried only if the user named it or its name ends in .dcm (`named`), and must then hold a
    SOPClassUID. Raises NotDicomError, HeaderError, or what `Location.open` raises.
    """
    prefixed = False
    with location.open() as stream:
        try:
            start = stream.read(_FIRST)
            prefixed = start[128:132] == b"DICM"
            if not prefixed and not named:
                return None
            if not prefixed and len(start) < 16:
                raise NotDicomError(
                    "expected a DICOM file, found an empty or tiny one", path=location.source
                )
            if _DEFLATED in start[:1024]:
                _check_inflated(stream, start, location)
            return _parse_start(start, location, prefixed) or _parse(stream, location, prefixed)
        except MedinvError:
            raise
        except Exception as error:  # pydicom's parser raises whatever it met: struct.error, KeyError, TypeError, RecursionError, ...
            raise _unreadable(location, prefixed, error) from error


def _unreadable(location: Location, prefixed: bool, error: Exception) -> DataError:
    if location.member and isinstance(error, archive.DECOMPRESSION_FAULTS):
        return archive.damaged(location.source, error)
    if prefixed:
        return HeaderError(
            f"the header cannot be parsed ({type(error).__name__}): the file is damaged",
            path=location.source,
        )
    return NotDicomError(
        "expected a DICOM file (prefix DICM, or at least a header), found none",
        path=location.source,
    )


def _parse_start(start: bytes, location: Location, prefixed: bool) -> Header | None:
    """The header out of the file's first bytes, in memory, where pydicom is quicker; None if it is longer than they are."""
    if len(start) < _FIRST:
        return _parse(io.BytesIO(start), location, prefixed)
    try:
        header = _parse(io.BytesIO(start), location, prefixed)
    except (
        Exception
    ):  # of an element that they cut; whatever is wrong beside that is met again in the whole file
        return None
    return header if header.pixels is not None else None


def _parse(stream: BinaryIO, location: Location, prefixed: bool) -> Header:
    stopped: list[int] = []
    stream.seek(0)

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if int(tag) >= 0x7FE00008:  # pydicom's own comparison of tags costs a tenth of the scan
            stopped.append(int(tag))
            return True
        return False

    with (
        disable_value_validation()
    ):  # its warnings quote values, which may name a patient; Fields judges the values itself
        dataset = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=_TAGS)
    fields, meta = Fields(dataset), Fields(dataset.file_meta)
    if not prefixed and not fields.has("SOPClassUID") and not meta.has("MediaStorageSOPClassUID"):
        raise NotDicomError(
            "expected a DICOM file, found neither the prefix DICM nor a SOPClassUID",
            path=location.source,
        )
    syntax = meta.text("TransferSyntaxUID")
    if syntax is None and meta.has("TransferSyntaxUID"):
        raise HeaderError(
            "TransferSyntaxUID is no valid UID: the header is damaged", path=location.source
        )
    return Header(
        fields=fields,
        syntax=syntax or _guessed_syntax(dataset.original_encoding),
        meta=meta,
        pixels=_PIXEL_ELEMENTS.get(stopped[0]) if stopped else None,
        cut=not stopped and syntax != _DEFLATED.decode() and _is_cut(stream, location, fields),
    )


def _guessed_syntax(encoding: tuple[bool | None, bool | None]) -> str:
    implicit, little = encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _is_cut(stream: BinaryIO, location: Location, fields: Fields) -> bool:
    """The last element announced more bytes than the file has."""
    if stream.tell() > location.size():
        return True
    for tag in fields.dataset.keys():
        element = fields.dataset.get_item(tag, keep_deferred=True)
        length = getattr(element, "length", None)
        if (
            length not in (None, 0, 0xFFFFFFFF)
            and isinstance(element.value, bytes)
            and len(element.value) < length
        ):
            return True
    return False


def _check_inflated(stream: BinaryIO, start: bytes, location: Location) -> None:
    """Inflate a deflated dataset in pieces, kept nowhere, so that a decompression bomb is refused before it is read."""
    if start[132:138] != b"\x02\x00\x00\x00UL":
        raise HeaderError(
            "a deflated file must state the length of its meta information, this one does not",
            path=location.source,
        )
    stream.seek(144 + int.from_bytes(start[140:144], "little"))
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while piece := stream.read(1 << 16):
        while piece and not inflate.eof:
            total += len(inflate.decompress(piece, 1 << 24))
            piece = inflate.unconsumed_tail
            if total > _MOST_INFLATED:
                raise HeaderError(
                    f"inflates to more than {_MOST_INFLATED} bytes: refused as a decompression bomb",
                    path=location.source,
                )
    if not inflate.eof:
        raise HeaderError(
            "the deflated data set ends early: the file is truncated", path=location.source
        )
