"""DICOM files for the tests: made here, or those that pydicom ships."""

from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

PYDICOM_FILES = (
    Path(pydicom.data.__file__).parent / "test_files"
)  # only what lies on this disk: nothing is downloaded


def dataset(pixels: np.ndarray, number: int = 1, **elements: object) -> Dataset:
    """A radiograph of study 1.2.1, series 1.2.1.1; other elements by keyword, None deletes one."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", f"1.2.1.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.1", "1.2.1.1", "DX"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.AccessionNumber = (
        "Doe^Secret",
        "ID-SECRET",
        "19700101",
        "ACC-SECRET",
    )
    ds.InstanceNumber, ds.SamplesPerPixel, ds.PhotometricInterpretation = number, 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def write(
    path: Path, pixels: np.ndarray | None = None, number: int = 1, **elements: object
) -> Path:
    """Write `dataset` to a file."""
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) if pixels is None else pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(pixels, number, **elements).save_as(path, enforce_file_format=True)
    return path


def table(entries: list[int], first: int, bits: int) -> list[Dataset]:
    """A LUT sequence of one item."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) & 0xFFFF, first, bits])
    item.add_new("LUTData", "US", entries)
    return [item]
