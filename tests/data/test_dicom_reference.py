"""Decoded pixels against each other, and displayed ones against dcmtk."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import PYDICOM_FILES, write
from PIL import Image

from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_pixels
from medinv.errors import PixelDataError


@pytest.fixture(scope="module")
def syntaxes(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One CT image in 16 transfer syntaxes, by UID: copies share a SOP Instance UID, so each is indexed alone."""
    folder = tmp_path_factory.mktemp("syntaxes")
    with zipfile.ZipFile(data_dir / "dicom" / "ct_syntaxes16.zip") as archive:
        archive.extractall(folder)
    return {path.stem.rpartition("_")[2]: path for path in folder.glob("*.dcm")}


def pixels_of(path: Path) -> Pixels:
    return read_pixels(next(index([path]).instances))


LITTLE = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("syntax", ["1.2", "1.2.2", "1.2.1.99", "1.2.5", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90"])
def test_lossless_copies_decode_to_identical_pixels(syntaxes: dict[str, Path], syntax: str) -> None:
    reference, copy = pixels_of(syntaxes[LITTLE]), pixels_of(syntaxes[f"1.2.840.10008.{syntax}"])
    assert copy.sha256 == reference.sha256
    assert np.array_equal(copy.display, reference.display) and not copy.lossy


@pytest.mark.parametrize(("syntax", "most"), [("1.2.4.81", 1), ("1.2.4.91", 5)])
def test_lossy_copies_stay_near_and_are_flagged(syntaxes: dict[str, Path], syntax: str, most: int) -> None:
    reference, copy = pixels_of(syntaxes[LITTLE]), pixels_of(syntaxes[f"1.2.840.10008.{syntax}"])
    assert 0 < np.abs(copy.stored.astype(int) - reference.stored).max() <= most
    assert copy.lossy


@pytest.mark.parametrize("syntax", ["1.2.4.51", "1.2.4.53", "1.2.4.55"])
def test_jpeg_of_12_bits_is_a_clean_error(syntaxes: dict[str, Path], syntax: str) -> None:
    path = syntaxes[f"1.2.840.10008.{syntax}"]
    with pytest.raises(PixelDataError) as caught:
        pixels_of(path)
    assert caught.value.stage == "decode" and caught.value.path == str(path) and caught.value.__cause__ is not None


def test_real_studies_index_alike_as_folder_and_as_zip(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "dicom" / "ct_ge_head28.zip"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    folder, zipped = index([tmp_path]), index([path])
    assert [i.sop_uid for i in folder.instances] == [i.sop_uid for i in zipped.instances]
    assert folder.counts() == zipped.counts() and zipped.counts()["instances"] == 28
    depths = [i.geometry.depth for i in zipped.instances]
    assert depths == sorted(depths) and len([study for study in zipped.studies if study.uid]) == 1


def test_hundred_real_slices(data_dir: Path) -> None:
    found = index([data_dir / "dicom" / "ct_contrast100.zip"])
    duplicates = [s for s in found.skipped if s.code == "duplicate"]
    assert found.counts()["instances"] + len(duplicates) == 100 and found.counts()["broken"] == 0
    for instance in list(found.instances)[::12]:
        pixels = read_pixels(instance)
        assert -1100 < np.median(pixels.modality) < 100 and pixels.display.std() > 10


def dcmtk_display(path: Path, tmp_path: Path, mode: list[str]) -> np.ndarray:
    """Grey levels as dcmtk shows them, overlays off."""
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmtk is not installed: its dcmj2pnm is the reference for displayed grey levels")
    subprocess.run(["dcmj2pnm", "-O", "+op", *mode, str(path), str(tmp_path / "out.pgm")], check=True, capture_output=True)
    return np.asarray(Image.open(tmp_path / "out.pgm")).astype(int)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "examples_overlay.dcm", "image_dfl.dcm",
     "dicomdirtests/77654033/CR1/6154", "dicomdirtests/77654033/CT2/17136", "dicomdirtests/98892001/CT2N/6293"],
)  # fmt: skip
def test_real_images_are_displayed_as_dcmtk_does(name: str, tmp_path: Path) -> None:
    pixels = pixels_of(PYDICOM_FILES / name)
    mode = ["+Wi", "1"] if "window" in pixels.policy else ["+Wm"]
    reference = dcmtk_display(PYDICOM_FILES / name, tmp_path, mode)
    assert np.abs(reference - pixels.display).max() <= 1  # dcmtk truncates where we round


@pytest.mark.parametrize("syntax", ["1.2.4.50", "1.2.4.57", "1.2.4.70", "1.2.2", "1.2.5", "1.2.1.99"])
def test_transfer_syntaxes_are_displayed_as_dcmtk_does(syntaxes: dict[str, Path], syntax: str, tmp_path: Path) -> None:
    path = syntaxes[f"1.2.840.10008.{syntax}"]
    assert np.abs(dcmtk_display(path, tmp_path, ["+Wi", "1"]) - pixels_of(path).display).max() <= 1


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PresentationLUTShape": "INVERSE"},
        {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
        {"VOILUTFunction": "SIGMOID"},
        {"WindowWidth": 1},
        {"WindowCenter": 2000.5, "WindowWidth": 2},
    ],
)
def test_grey_scale_elements_work_as_in_dcmtk(tmp_path: Path, elements: dict) -> None:
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    path = write(tmp_path / "x.dcm", ramp, **{"WindowCenter": 2000, "WindowWidth": 1000, **elements})
    assert np.abs(dcmtk_display(path, tmp_path, ["+Wi", "1"]) - pixels_of(path).display).max() <= 1
