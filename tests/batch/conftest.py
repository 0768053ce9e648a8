"""Small films of studies of their own, and a model that takes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from medinv.models.store import load


@pytest.fixture(scope="session")
def phantom():
    return load("phantom-opacity")


@pytest.fixture(scope="session")
def write_film(samples) -> Callable[..., Path]:
    """Writes a sample radiograph, averaged to 64 x 64 pixels, under UIDs of its own."""
    dataset = pydicom.dcmread(samples / "studies" / "study-01" / "radiograph.dcm")
    rows, columns = (extent // 64 * 64 for extent in dataset.pixel_array.shape)
    blocks = (
        dataset.pixel_array[:rows, :columns].reshape(64, rows // 64, 64, columns // 64).mean((1, 3))
    )
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = blocks.round().astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.Rows = dataset.Columns = 64

    def write(path: Path, study: int, image: int = 1, series: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
            f"1.2.3.{study}",
            f"1.2.3.{study}.{series}",
        )
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
            f"1.2.3.{study}.{series}.{image}"
        )
        dataset.save_as(path)
        return path

    return write


@pytest.fixture(scope="session")
def twenty(write_film, tmp_path_factory) -> Path:
    """A folder of twenty studies of one film."""
    folder = tmp_path_factory.mktemp("twenty")
    for study in range(1, 21):
        write_film(folder / f"{study}.dcm", study)
    return folder
