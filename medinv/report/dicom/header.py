"""The part of an analysed image's header that results in the same study must quote.

It names the patient. It goes into DICOM objects only, which are made when asked for, and into no
text, log or file name.
"""

from dataclasses import dataclass

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import PersonName

from medinv.data.dicom.charset import Text, decoded
from medinv.errors import HeaderError

_REQUIRED = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Rows",
    "Columns",
)
_UIDS = tuple(name for name in _REQUIRED if name.endswith("UID"))
_FRAME = "FrameOfReferenceUID"
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_TEXT_IF_THERE = ("IssuerOfPatientID", "StudyDescription")
_IF_THERE = (
    "PatientAge", "Modality", "BodyPartExamined",
    "Laterality", "ImageLaterality", "InstanceNumber", "ImageType", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "SpacingBetweenSlices", "PixelSpacing", "ImagerPixelSpacing",
    "PixelAspectRatio", "PatientOrientation", "SamplesPerPixel", "PhotometricInterpretation",
    "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "ProcedureCodeSequence",
    "ReferencedRequestSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Quoted:
    """The elements that results quote, for data sets of ISO_IR 192 (UTF-8)."""

    elements: Dataset
    warnings: tuple[str, ...] = ()  # of texts whose character set is not the one declared


def quoted(dataset: Dataset) -> Quoted:
    """The elements that results quote, names and texts decoded.

    Raises HeaderError, which quotes no value, where one that is needed is missing or damaged, and
    for UIDs that are none: an object that names its image by such a UID is not valid, and one that
    names it by another refers to nothing that an archive holds.
    """
    missing = [keyword for keyword in _REQUIRED if not dataset.get(keyword)]
    if missing:
        raise HeaderError(
            f"DICOM results refer to their images by {', '.join(_REQUIRED)}; "
            f"the header lacks {', '.join(missing)}",
            stage="dicom results",
        )
    odd = [keyword for keyword in _UIDS if not UID(str(dataset.get(keyword) or "1.2")).is_valid]
    if odd:
        raise HeaderError(
            "DICOM results refer to what the archive holds by valid UIDs (digits and dots, at most "
            f"64); the header's {', '.join(odd)} is none: correct it in the archive, then classify "
            "the image that it sends",
            stage="dicom results",
        )
    kept, warnings = Dataset(), list[str]()
    for keyword in _REQUIRED + _IF_THERE:
        _keep(dataset, kept, keyword)
    if not UID(str(kept.get(_FRAME) or "1.2")).is_valid:
        del kept[_FRAME]  # which a film does not need
        warnings.append(f"DICOM results: {_FRAME} is no valid UID and was left out")
    for keyword in _MAY_BE_EMPTY + _TEXT_IF_THERE:
        if keyword in _MAY_BE_EMPTY or keyword in dataset:
            warnings += _keep_text(dataset, kept, keyword)
    if kept.PatientSex not in ("M", "F", "O"):
        kept.PatientSex = ""
    return Quoted(kept, tuple(warnings))


def _keep(dataset: Dataset, kept: Dataset, keyword: str) -> None:
    try:
        if dataset.get(keyword) is not None:
            kept[keyword] = dataset[keyword]
    except Exception as error:  # pydicom raises whatever a damaged value made it meet
        raise _damaged(keyword, error) from error


def _keep_text(dataset: Dataset, kept: Dataset, keyword: str) -> list[str]:
    """In every character set of the standard; what cannot be read stays the bytes that it was.

    Returns what is to be said of it, without the value.
    """
    try:
        terms = tuple(
            str(term) for term in np.atleast_1d(dataset.get("SpecificCharacterSet") or "")
        )
        # As it stands in the file: pydicom would decode it, and lose what it cannot.
        text = decoded(dataset.get_item(keyword), terms) if keyword in dataset else Text("")
        kept.add(_element(keyword, text))
    except Exception as error:
        raise _damaged(keyword, error) from error
    return [f"DICOM results: {keyword}: {text.warning}"] if text.warning else []


def _element(keyword: str, text: Text) -> DataElement:
    tag, vr = Tag(keyword), dictionary_VR(keyword)
    value: str | bytes | PersonName = text.text if text.readable == text.text else text.utf8
    if vr == "PN":
        value = PersonName(text.utf8, [python_encoding["ISO_IR 192"]])
    return DataElement(tag, vr, value)


def _damaged(keyword: str, error: Exception) -> HeaderError:
    return HeaderError(
        f"the header cannot be quoted ({type(error).__name__}): the value of {keyword} is damaged",
        stage="dicom results",
    )


def is_slice(header: Dataset) -> bool:
    """The image lies at a known place in the patient, so that neighbours make a volume."""
    needed = (
        "FrameOfReferenceUID",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
    )
    return all(header.get(keyword) for keyword in needed)


def procedure(header: Dataset) -> Code:
    """What the study says was done, else imaging in general."""
    for item in header.get("ProcedureCodeSequence", ()):
        if item.get("CodeValue") and item.get("CodingSchemeDesignator") and item.get("CodeMeaning"):
            return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
    return codes.SCT.Imaging
