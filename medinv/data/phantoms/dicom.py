"""Phantoms as DICOM: a radiograph (Digital X-Ray or Computed Radiography, for presentation)
and an axial CT series.

Patients are invented (PHANTOM^nnn), dates fixed, UIDs derived from the phantom,
so that the same phantom gives the same pixels and identifiers anywhere.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from medinv.data.phantoms.ct import Volume
from medinv.data.phantoms.radiograph import MAX_STORED, Radiograph
from medinv.data.phantoms.record import Phantom

Syntax = Literal["explicit", "rle", "jpeg-ls", "jpeg-2000"]
_SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}
_DATE, _TIME = "20200101", "120000"


@dataclass(frozen=True)
class Format:
    """How a radiograph is stored."""

    modality: Literal["DX", "CR"] = "DX"
    inverted: bool = False
    """MONOCHROME1 instead of MONOCHROME2."""
    syntax: Syntax = "explicit"


def uid(phantom: Phantom, *what: str | int) -> UID:
    """A UID that depends on the phantom's seed and index and on what it names."""
    return generate_uid(
        entropy_srcs=["medinv phantom", str(phantom.seed), str(phantom.index), *map(str, what)]
    )


def radiograph_dataset(phantom: Phantom, shot: Radiograph, form: Format = Format()) -> FileDataset:
    """A chest radiograph, antero-posterior, 12 bits in 16, with its window."""
    storage = (
        DigitalXRayImageStorageForPresentation
        if form.modality == "DX"
        else ComputedRadiographyImageStorage
    )
    ds = _object(phantom, storage, (form.modality, 1))
    _series(ds, phantom, form.modality, 1, "Chest AP")
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""] if form.modality == "DX" else ["ORIGINAL", "PRIMARY"]
    ds.PatientOrientation = ["L", "F"]
    ds.ViewPosition, ds.KVP = "AP", "110"
    # parallel beams magnify nothing: the spacing on the detector is the spacing in the patient
    ds.ImagerPixelSpacing = ds.PixelSpacing = [f"{shot.spacing:.6f}"] * 2
    if form.modality == "DX":
        _digital(ds)
    stored, (centre, width) = shot.stored, shot.window
    if form.inverted:
        stored, centre = MAX_STORED - stored, MAX_STORED + 1 - centre
    _pixels(ds, stored, "MONOCHROME1" if form.inverted else "MONOCHROME2", 12)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = str(centre), str(width)
    ds.PresentationLUTShape = "INVERSE" if form.inverted else "IDENTITY"
    return _encode(ds, form.syntax)


def ct_datasets(phantom: Phantom, scan: Volume, syntax: Syntax = "rle") -> list[FileDataset]:
    """The slices of a CT series, feet to head, signed 16 bits with a rescale to HU."""
    return [_slice(phantom, scan, i, syntax) for i in range(len(scan.hu))]


def _slice(phantom: Phantom, scan: Volume, i: int, syntax: Syntax) -> FileDataset:
    ds = _object(phantom, CTImageStorage, ("CT", i + 1))
    _series(ds, phantom, "CT", 2, "Chest CT")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber, ds.AcquisitionNumber = i + 1, 1
    ds.PatientPosition, ds.KVP = "HFS", "120"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid(phantom, "frame"), ""
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = [f"{scan.start:.4f}", f"{scan.start:.4f}", f"{scan.positions[i]:.4f}"]
    ds.SliceLocation, ds.SliceThickness = f"{scan.positions[i]:.4f}", f"{scan.thickness:.4f}"
    ds.PixelSpacing = [f"{scan.pixel:.6f}"] * 2
    _pixels(ds, scan.hu[i] + np.int16(1024), "MONOCHROME2", 16)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = ["-600", "40"], ["1500", "400"]
    ds.WindowCenterWidthExplanation = ["LUNG", "SOFT TISSUE"]
    return _encode(ds, syntax)


def _object(phantom: Phantom, storage: UID, what: tuple[str, int]) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, uid(phantom, *what)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    number = f"{phantom.seed}-{phantom.index:03d}"
    ds.PatientName, ds.PatientID = f"PHANTOM^{phantom.index:03d}", f"PHANTOM-{number}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.PatientAge = "006Y" if phantom.anatomy.scale < 0.83 else "045Y"
    ds.StudyInstanceUID, ds.StudyID, ds.AccessionNumber = (
        uid(phantom, "study"),
        str(phantom.index),
        "",
    )
    ds.StudyDate, ds.StudyTime, ds.ReferringPhysicianName = _DATE, _TIME, ""
    ds.StudyDescription = "Computer-generated phantom, not a patient"
    return ds


def _series(ds: Dataset, phantom: Phantom, modality: str, number: int, description: str) -> None:
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = modality, number, description
    ds.SeriesInstanceUID = uid(phantom, "series", modality)
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = _DATE
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = _TIME
    ds.BodyPartExamined, ds.InstanceNumber = "CHEST", 1
    ds.Manufacturer, ds.ManufacturerModelName = "medinv", "thorax phantom"
    ds.QualityControlImage, ds.BurnedInAnnotation = "YES", "NO"
    ds.ImageComments = "Computer-generated phantom. Research use, not for diagnosis."


def _digital(ds: Dataset) -> None:
    """What the Digital X-Ray object asks for beyond a computed radiograph."""
    ds.PresentationIntentType, ds.ImageLaterality = "FOR PRESENTATION", "U"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
    ds.LossyImageCompression, ds.DetectorType = "00", "DIRECT"
    ds.PositionerType = "NONE"
    view = _code("399348003", "SCT", "antero-posterior")
    view.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = Sequence([view])
    ds.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Chest")])
    ds.AcquisitionContextSequence = Sequence([])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _pixels(ds: Dataset, stored: np.ndarray, photometric: str, bits: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, photometric
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OW"


def _encode(ds: FileDataset, syntax: Syntax) -> FileDataset:
    """Compresses the pixels without loss."""
    if syntax != "explicit":
        ds.compress(_SYNTAXES[syntax], generate_instance_uid=False)
    return ds
