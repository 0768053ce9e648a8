"""The part of an analysed image's header that results in the same study must quote.

It names the patient. It goes into DICOM objects only, which are made when asked for, and into no text, log or file name.
"""

from pydicom import Dataset
from pydicom.valuerep import PersonName

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
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_IF_THERE = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "Modality", "BodyPartExamined", "Laterality", "ImageLaterality", "InstanceNumber", "ImageType",
    "FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "SpacingBetweenSlices",
    "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio", "PatientOrientation", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "ProcedureCodeSequence", "ReferencedRequestSequence",
)  # fmt: skip


def quoted(dataset: Dataset) -> Dataset:
    """The elements that results quote, names and texts decoded. Raises HeaderError, which quotes no value."""
    missing = [keyword for keyword in _REQUIRED if not dataset.get(keyword)]
    if missing:
        raise HeaderError(
            f"DICOM results refer to their images by {', '.join(_REQUIRED)}; the header lacks {', '.join(missing)}",
            stage="dicom results",
        )
    try:
        return _kept(dataset)
    except Exception as error:  # pydicom raises whatever a damaged value made it meet
        raise HeaderError(
            f"the header cannot be quoted ({type(error).__name__}): a value is damaged",
            stage="dicom results",
        ) from error


def _kept(dataset: Dataset) -> Dataset:
    kept = Dataset()
    for keyword in _REQUIRED + _IF_THERE:
        if dataset.get(keyword) is not None:
            kept[keyword] = dataset[keyword]
    for keyword in _MAY_BE_EMPTY:
        value = dataset.get(keyword) or ""
        setattr(kept, keyword, PersonName(str(value)) if keyword.endswith("Name") else str(value))
    if kept.PatientSex not in ("M", "F", "O"):
        kept.PatientSex = ""
    return kept


def is_slice(header: Dataset) -> bool:
    """The image lies at a known place in the patient, so that neighbours make a volume."""
    return all(
        header.get(keyword)
        for keyword in (
            "FrameOfReferenceUID",
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
        )
    )
