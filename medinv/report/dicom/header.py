"""The part of an analysed image's header that results in the same study must quote.

It names the patient. It goes into DICOM objects only, which are made when asked for, and into no
text, log or file name.
"""

import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from medinv.data.dicom.charset import decoded
from medinv.errors import HeaderError

_REQUIRED = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Rows",
    "Columns",
)
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_IF_THERE = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "Modality", "BodyPartExamined",
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


def quoted(dataset: Dataset) -> Dataset:
    """The elements that results quote, names and texts decoded.

    Raises HeaderError, which quotes no value.
    """
    missing = [keyword for keyword in _REQUIRED if not dataset.get(keyword)]
    if missing:
        raise HeaderError(
            f"DICOM results refer to their images by {', '.join(_REQUIRED)}; "
            f"the header lacks {', '.join(missing)}",
            stage="dicom results",
        )
    kept = Dataset()
    for keyword in _REQUIRED + _IF_THERE:
        _keep(dataset, kept, keyword)
    for keyword in _MAY_BE_EMPTY:
        _keep_text(dataset, kept, keyword)
    if kept.PatientSex not in ("M", "F", "O"):
        kept.PatientSex = ""
    return kept


def _keep(dataset: Dataset, kept: Dataset, keyword: str) -> None:
    try:
        if dataset.get(keyword) is not None:
            kept[keyword] = dataset[keyword]
    except Exception as error:  # pydicom raises whatever a damaged value made it meet
        raise _damaged(keyword, error) from error


def _keep_text(dataset: Dataset, kept: Dataset, keyword: str) -> None:
    """In every character set of the standard; what cannot be read is a replacement sign."""
    try:
        terms = tuple(
            str(term) for term in np.atleast_1d(dataset.get("SpecificCharacterSet") or "")
        )
        value = decoded(dataset[keyword], terms).readable if dataset.get(keyword) else ""
        setattr(kept, keyword, PersonName(value) if keyword.endswith("Name") else value)
    except Exception as error:
        raise _damaged(keyword, error) from error


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
