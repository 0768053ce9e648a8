"""Reads the header of one file, and nothing of its pixels."""

import io
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from pydicom.config import disable_value_validation
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from medinv.data.dicom import archive, patient
from medinv.data.dicom.fields import Fields, tag_of
from medinv.data.dicom.labels import PRIVATE_TAGS
from medinv.data.dicom.location import Location
from medinv.data.dicom.whole import DEFLATED, MOST_HEADER, Capped, deep, inflated_start, is_deflated
from medinv.errors import DataError, HeaderError, MedinvError, NotDicomError

KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
    "BodyPartExamined", "ViewPosition",
    "Laterality", "ImageLaterality", "ImageType", "InstanceNumber", "AcquisitionNumber", "EchoTime",
    "DiffusionBValue",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "LossyImageCompression", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio", "PatientOrientation", "SliceThickness", "BurnedInAnnotation",
    "ImagePositionPatient", "ImageOrientationPatient", "GridFrameOffsetVector",
    "PixelDataProviderURL",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ViewCodeSequence", "SpecificCharacterSet", "SeriesDescription", "StudyDescription",
    "PatientAge", "StudyDate",
    "WindowCenter", "FrameOfReferenceUID", "ConcatenationUID", "InConcatenationNumber",
    "InConcatenationTotalNumber", "Manufacturer",
    *patient.KEYWORDS,
)  # fmt: skip
_TAGS: list[BaseTag | int] = [*(tag_of(keyword) for keyword in KEYWORDS), *PRIVATE_TAGS]
_PIXEL_ELEMENTS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_STANDARD = b"1.2.840.10008."  # root of the UIDs of the standard
_FIRST = 1 << 14  # bytes that hold most headers whole


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

    A file without the DICM prefix is tried if the user named it, its name ends in .dcm (`named`),
    or it begins as a data set does, and must then hold a SOPClassUID. Raises NotDicomError,
    HeaderError, or what `Location.open` raises.
    """
    prefixed = False
    with location.open() as stream, deep():
        try:
            start = stream.read(_FIRST)
            prefixed = start[128:132] == b"DICM"
            if not prefixed and not named and not _begins_as_data_set(start):
                return None
            if not prefixed and len(start) < 16:
                raise NotDicomError(
                    "expected a DICOM file, found an empty or tiny one", path=location.source
                )
            if is_deflated(start):
                header = _parse(inflated_start(stream, location), location, prefixed)
                return replace(header, syntax=DEFLATED.decode(), cut=False)
            whole = Capped(stream, MOST_HEADER, location.source)
            return _parse_start(start, location, prefixed) or _parse(
                cast(BinaryIO, whole), location, prefixed
            )
        except MedinvError:
            raise
        except Exception as error:  # pydicom's parser raises whatever it met: struct.error, ...
            raise _unreadable(location, prefixed, error) from error


def _begins_as_data_set(start: bytes) -> bool:
    """The first element is of the file meta information or the group that identifies, in either
    byte order, and a UID of the standard is near."""
    return start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and _STANDARD in start


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
    """The header out of the file's first bytes, in memory, where pydicom is quicker; None if it
    is longer than they are."""
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
        cut=not stopped and _is_cut(stream, location, fields),
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
    for _, element in fields.dataset.items():
        length = getattr(element, "length", None)
        if (
            length not in (None, 0, 0xFFFFFFFF)
            and isinstance(element.value, bytes)
            and len(element.value) < length
        ):
            return True
    return False
