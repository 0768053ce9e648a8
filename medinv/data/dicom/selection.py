"""Which files are images for the network, and why the others are not."""

import hashlib
import re

from pydicom.uid import UID, UID_dictionary

from medinv.data.dicom import objects
from medinv.data.dicom.age import age
from medinv.data.dicom.codes import quoted
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.frames import FrameHeaders, geometries, stacks
from medinv.data.dicom.header import Header
from medinv.data.dicom.labels import b_value, description, view
from medinv.data.dicom.location import Location
from medinv.data.dicom.patient import Patient
from medinv.data.dicom.records import Instance, Skipped
from medinv.errors import HeaderError, PixelDataError

_DICOMDIR = "1.2.840.10008.1.3.10"
_LOSSY = {
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.55",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.203",
}  # fmt: skip
# Samples of a pixel by PhotometricInterpretation (PS3.3 C.7.6.3.1.2).
SAMPLES = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1,
    "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_PARTIAL_422": 3, "YBR_PARTIAL_420": 3,
    "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip
_SAFE_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_LONGEST_UID = 256


def uid_of(fields: Fields, keyword: str, location: Location) -> str | None:
    """A UID, or None if absent.

    One that is odd (too long, of other characters than digits and dots), but tells objects apart,
    is known by a UID derived from it (PS3.5 B.2), which is safe to name a file by. Raises
    HeaderError for one that is damage.
    """
    element = fields.raw(keyword)
    value = element.value if element is not None else None
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    text = text.strip(" \0")
    if not text or _SAFE_UID.fullmatch(text):
        return text or None
    if not (text.isascii() and text.isprintable() and len(text) <= _LONGEST_UID):
        raise HeaderError(
            f"{keyword} is no UID (digits and dots, at most 64): damaged", path=location.source
        )
    digest = hashlib.sha256(text.encode()).digest()[:16]
    derived = f"2.25.{int.from_bytes(digest, 'big')}"
    warning = f"{keyword} is no valid UID (digits and dots, at most 64): known here as {derived}"
    fields.warnings += [warning] * (warning not in fields.warnings)
    return derived


def select(
    header: Header, location: Location, study_uid: str | None, patient: Patient
) -> Instance | Skipped:
    """The file as an image for the network, or the reason why it is not one.

    Raises HeaderError for a header that contradicts itself, PixelDataError for an image without
    its pixel data.
    """
    sop_uid = uid_of(header.fields, "SOPInstanceUID", location) or uid_of(
        header.meta, "MediaStorageSOPInstanceUID", location
    )
    exclusion = _exclusion(header, location)
    if exclusion:
        return Skipped(location.source, study_uid, sop_uid, *exclusion)
    if sop_uid is None:
        raise HeaderError(
            "the image has no SOPInstanceUID, so that no result could refer to it",
            path=location.source,
        )
    return _instance(header, location, (study_uid, sop_uid), patient)


def _exclusion(header: Header, location: Location) -> tuple[str, str] | None:
    fields = header.fields
    sop_class = header.meta.text("MediaStorageSOPClassUID") or fields.text("SOPClassUID")
    if sop_class == _DICOMDIR:
        return "dicomdir", "DICOMDIR: an index, not an image"
    if header.pixels is None:
        return _without_pixels(header, sop_class, location)
    if header.pixels != "PixelData":
        return "float-pixel-data", f"{header.pixels}: floating-point pixels are not read yet"
    if "MOSAIC" in (value.upper() for value in fields.texts("ImageType")):
        return (
            "mosaic",
            "a mosaic: the slices of a volume side by side in one image; export them one by one",
        )
    photometric = fields.text("PhotometricInterpretation")
    if photometric is None:
        raise HeaderError("the image has no PhotometricInterpretation", path=location.source)
    samples = _count(fields, "SamplesPerPixel", location, default=1)
    if SAMPLES.get(photometric) != samples:
        return (
            "colour",
            f"{quoted(photometric, *SAMPLES)} of {samples} samples: no kind of grey or colour "
            "image that is read",
        )
    return None


def _without_pixels(header: Header, sop_class: str | None, location: Location) -> tuple[str, str]:
    if header.cut:
        raise HeaderError("the file ends within its header: it is truncated", path=location.source)
    if header.fields.has("PixelDataProviderURL"):
        return "remote-pixels", "the pixels lie at another place, which is not visited"
    name = UID(sop_class).name if sop_class in UID_dictionary else "unknown kind"
    if header.fields.has("Rows"):
        raise PixelDataError(
            f"{name}: rows and columns are announced, but the pixel data are absent: truncated?",
            path=location.source,
        )
    if "Image Storage" in name:
        return "no-pixel-data", f"{name}: a header alone, without rows, columns or pixel data"
    return objects.code(name), f"{name}: holds no image"


def _instance(
    header: Header, location: Location, uids: tuple[str | None, str], patient: Patient
) -> Instance:
    fields = header.fields
    allocated, stored, high = _bits(fields, location)
    rows, columns = _count(fields, "Rows", location), _count(fields, "Columns", location)
    frames = _frames(fields, location)
    geometry, each = geometries(fields, frames, location.source)
    return Instance(
        source=location.source,
        location=location,
        study_uid=uids[0],
        series_uid=uid_of(fields, "SeriesInstanceUID", location),
        sop_uid=uids[1],
        sop_class=fields.text("SOPClassUID") or header.meta.text("MediaStorageSOPClassUID"),
        patient=patient,
        modality=fields.text("Modality"),
        manufacturer=description(fields, "Manufacturer"),
        body_part=fields.text("BodyPartExamined"),
        view=view(fields),
        series_description=description(fields, "SeriesDescription"),
        study_description=description(fields, "StudyDescription"),
        laterality=fields.text("ImageLaterality") or fields.text("Laterality"),
        patient_orientation=fields.texts("PatientOrientation"),
        image_type=fields.texts("ImageType"),
        photometric=fields.text("PhotometricInterpretation") or "",
        rows=rows,
        columns=columns,
        frames=frames,
        samples=_count(fields, "SamplesPerPixel", location, default=1),
        planar=fields.integer("PlanarConfiguration") or 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=fields.integer("PixelRepresentation") == 1,
        transfer_syntax=header.syntax,
        burned_in_annotation=fields.text("BurnedInAnnotation"),
        lossy=(fields.text("LossyImageCompression") or "00") != "00" or header.syntax in _LOSSY,
        number=fields.integer("InstanceNumber"),
        acquisition=fields.integer("AcquisitionNumber"),
        echo=_number(fields, "EchoTime"),
        b_value=b_value(fields),
        geometry=geometry,
        frame_geometry=each,
        stacks=stacks(fields),
        frame_of_reference=fields.text("FrameOfReferenceUID"),
        concatenation=uid_of(fields, "ConcatenationUID", location),
        part=(
            fields.integer("InConcatenationNumber"),
            fields.integer("InConcatenationTotalNumber"),
        ),
        windowed=FrameHeaders(fields)[0].has("WindowCenter"),
        age=age(fields),
        warnings=tuple(dict.fromkeys(fields.warnings)),
    )


def _bits(fields: Fields, location: Location) -> tuple[int, int, int]:
    """BitsAllocated, BitsStored, HighBit. Raises HeaderError where they contradict each other."""
    allocated = _count(fields, "BitsAllocated", location)
    stored = _count(fields, "BitsStored", location, default=allocated)
    high = fields.integer("HighBit")
    high = stored - 1 if high is None else high
    if allocated not in (1, 8, 16, 32) or not stored - 1 <= high < allocated:
        raise HeaderError(
            "expected 1, 8, 16 or 32 bits allocated that hold the bits stored, found "
            f"{allocated} allocated, {stored} stored, high bit {high}",
            path=location.source,
        )
    return allocated, stored, high


def _frames(fields: Fields, location: Location) -> int:
    """NumberOfFrames. An image has one at least, whatever a header says that counts none."""
    if fields.integer("NumberOfFrames") == 0:
        fields.warnings.append("NumberOfFrames is 0: taken as one frame")
        return 1
    return _count(fields, "NumberOfFrames", location, default=1)


def _count(fields: Fields, keyword: str, location: Location, default: int | None = None) -> int:
    """A positive integer. Raises HeaderError if it is not one, or is absent without a default."""
    value = fields.integer(keyword)
    if value is None and default is not None and not fields.has(keyword):
        return default
    if value is None or value < 1:
        raise HeaderError(
            f"{keyword} is absent or no positive number: the image cannot be understood without it",
            path=location.source,
        )
    return value


def _number(fields: Fields, keyword: str) -> float | None:
    values = fields.numbers(keyword, 1)
    return values[0] if values else None
