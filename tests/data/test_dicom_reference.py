"""Decoded pixels against each other, and displayed ones against dcmtk."""

import shutil
import subprocess
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import PYDICOM_FILES, write
from PIL import Image
from pydicom.pixels import pixel_array

from medinv.data.dicom.colour import luma
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels
from medinv.data.dicom.records import Instance
from medinv.errors import MedinvError


@pytest.fixture(scope="module")
def syntaxes(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One CT image in 16 transfer syntaxes, by UID: copies share a SOP Instance UID, so each is
    indexed alone."""
    folder = tmp_path_factory.mktemp("syntaxes")
    with zipfile.ZipFile(data_dir / "dicom" / "ct_syntaxes16.zip") as archive:
        archive.extractall(folder)
    return {path.stem.rpartition("_")[2]: path for path in folder.glob("*.dcm")}


def pixels_of(path: Path) -> Pixels:
    return read_pixels(next(index([path]).instances))


LITTLE = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    "syntax", ["1.2", "1.2.2", "1.2.1.99", "1.2.5", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90"]
)
def test_lossless_copies_decode_to_identical_pixels(syntaxes: dict[str, Path], syntax: str) -> None:
    reference, copy = pixels_of(syntaxes[LITTLE]), pixels_of(syntaxes[f"1.2.840.10008.{syntax}"])
    assert copy.sha256 == reference.sha256
    assert np.array_equal(copy.display, reference.display) and not copy.lossy


@pytest.mark.parametrize(("syntax", "most"), [("1.2.4.81", 1), ("1.2.4.91", 5)])
def test_lossy_copies_stay_near_and_are_flagged(
    syntaxes: dict[str, Path], syntax: str, most: int
) -> None:
    reference, copy = pixels_of(syntaxes[LITTLE]), pixels_of(syntaxes[f"1.2.840.10008.{syntax}"])
    assert 0 < np.abs(copy.stored.astype(int) - reference.stored).max() <= most
    assert copy.lossy


@pytest.mark.parametrize("syntax", ["1.2.4.51", "1.2.4.53", "1.2.4.55"])
def test_jpeg_of_12_bits_is_what_dcmtk_decodes(
    syntaxes: dict[str, Path], syntax: str, tmp_path: Path
) -> None:
    path = syntaxes[f"1.2.840.10008.{syntax}"]
    found = pixels_of(path)
    assert found.lossy and found.stored.max() > 255
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("dcmtk is not installed")
    subprocess.run(["dcmdjpeg", path, tmp_path / "native.dcm"], check=True)
    assert np.array_equal(pixels_of(tmp_path / "native.dcm").stored, found.stored)


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
        pytest.skip(
            "dcmtk is not installed: its dcmj2pnm is the reference for displayed grey levels"
        )
    subprocess.run(
        ["dcmj2pnm", "-O", "+op", *mode, str(path), str(tmp_path / "out.pgm")],
        check=True,
        capture_output=True,
    )
    return np.asarray(Image.open(tmp_path / "out.pgm")).astype(int)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "examples_overlay.dcm",
        "image_dfl.dcm",
        "dicomdirtests/77654033/CR1/6154",
        "dicomdirtests/77654033/CT2/17136",
        "dicomdirtests/98892001/CT2N/6293",
    ],
)
def test_real_images_are_displayed_as_dcmtk_does(name: str, tmp_path: Path) -> None:
    pixels = pixels_of(PYDICOM_FILES / name)
    words = pixels.policy
    mode = ["+Wi", "1"] if "; window" in words else ["+Wm"]
    if "-1024 to 3071 HU" in words:  # which dcmtk is told, as no header says it
        mode = ["+Ww", "1024", "4096"]
    reference = dcmtk_display(PYDICOM_FILES / name, tmp_path, mode)
    assert np.abs(reference - pixels.display).max() <= 1  # dcmtk truncates where we round


@pytest.mark.parametrize(
    "syntax", ["1.2.4.50", "1.2.4.57", "1.2.4.70", "1.2.2", "1.2.5", "1.2.1.99"]
)
def test_transfer_syntaxes_are_displayed_as_dcmtk_does(
    syntaxes: dict[str, Path], syntax: str, tmp_path: Path
) -> None:
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
    path = write(
        tmp_path / "x.dcm", ramp, **{"WindowCenter": 2000, "WindowWidth": 1000, **elements}
    )
    assert np.abs(dcmtk_display(path, tmp_path, ["+Wi", "1"]) - pixels_of(path).display).max() <= 1


# What of dcmtk turns a transfer syntax into plain little endian words, without converting colours.
DCMTK = {
    "1.2": ["dcmconv", "+te"],
    "1.2.1": ["dcmconv", "+te"],
    "1.2.2": ["dcmconv", "+te"],
    "1.2.1.99": ["dcmconv", "+te"],
    "1.2.5": ["dcmdrle"],
    "1.2.4.50": ["dcmdjpeg", "+cn"],
    "1.2.4.51": ["dcmdjpeg", "+cn"],
    "1.2.4.57": ["dcmdjpeg", "+cn"],
    "1.2.4.70": ["dcmdjpeg", "+cn"],
    "1.2.4.80": ["dcmdjpls"],
    "1.2.4.81": ["dcmdjpls"],
}
JPEG_2000 = ("1.2.4.90", "1.2.4.91")
# No words to compare with: dcmtk refuses the first (premature end), keeps the chroma of the second
# subsampled, and swaps 32-bit words by halves.
NOT_IN_DCMTK = {
    "SC_rgb_jpeg.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "rtdose_expb.dcm",
    "rtdose_expb_1frame.dcm",
}


def syntax_of(instance: Instance) -> str:
    return instance.transfer_syntax.removeprefix("1.2.840.10008.")


def readable(paths: list[Path]) -> list[tuple[Path, Instance, list[Pixels]]]:
    """Each image with all its frames; what cannot be read is another test's."""
    out = []
    for path in sorted(path for path in paths if path.is_file() and "DICOMDIR" not in path.name):
        for instance in index([path]).instances:
            with suppress(MedinvError):
                out.append((path, instance, list(read_frames(instance))))
    return out


@pytest.fixture(scope="module")
def real() -> list[tuple[Path, Instance, list[Pixels]]]:
    """The images that pydicom ships."""
    return readable(list(PYDICOM_FILES.rglob("*")))


def dcmtk_words(path: Path, instance: Instance, out: Path) -> np.ndarray:
    """(frames, rows, columns[, 3]) as dcmtk decodes them; skips without dcmtk."""
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("dcmtk is not installed: its decoders are the reference for stored pixels")
    subprocess.run(
        [*DCMTK[syntax_of(instance)], str(path), str(out)], check=True, capture_output=True
    )
    dataset = pydicom.dcmread(out)
    shape = (instance.frames, instance.rows, instance.columns)
    if instance.bits_allocated == 1:
        return np.unpackbits(np.frombuffer(dataset.PixelData, "u1"), bitorder="little")[
            : np.prod(shape)
        ].reshape(shape)
    words = np.frombuffer(dataset.PixelData, f"<u{instance.bits_allocated // 8}")
    if instance.samples == 1:
        return words[: np.prod(shape)].reshape(shape)
    words = words[: 3 * np.prod(shape)]
    if dataset.PlanarConfiguration == 1:
        return words.reshape(instance.frames, 3, instance.rows, instance.columns).transpose(
            0, 2, 3, 1
        )
    return words.reshape(*shape, 3)


def _check_words(images: list[tuple[Path, Instance, list[Pixels]]], tmp_path: Path) -> set[str]:
    """Compare every word of every frame; the transfer syntaxes that were met."""
    met = set()
    for path, instance, frames in images:
        if syntax_of(instance) in DCMTK and path.name not in NOT_IN_DCMTK:
            reference = dcmtk_words(path, instance, tmp_path / "reference.dcm")
            assert np.array_equal(np.stack([pixels.words for pixels in frames]), reference), (
                path.name
            )
            met.add(syntax_of(instance))
    return met


def test_every_word_of_pydicoms_images_is_what_dcmtk_decodes(real: list, tmp_path: Path) -> None:
    assert len(_check_words(real, tmp_path)) >= 8


def test_every_word_of_all_transfer_syntaxes_is_what_dcmtk_decodes(
    syntaxes: dict[str, Path], tmp_path: Path
) -> None:
    assert len(_check_words(readable(list(syntaxes.values())), tmp_path)) >= 10


def test_every_word_of_real_slices_is_what_dcmtk_decodes(data_dir: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(data_dir / "dicom" / "ct_contrast100.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".dcm")][::20]:
            archive.extract(name, tmp_path / "in")
    assert _check_words(readable(list((tmp_path / "in").rglob("*.dcm"))), tmp_path)


@pytest.mark.parametrize("reference", ["gdcm", "pillow"])
def test_jpeg_2000_decodes_as_two_other_decoders_do(real: list, reference: str) -> None:
    compared = 0
    for path, instance, frames in real:
        if syntax_of(instance) in JPEG_2000 and not (
            reference == "pillow" and path.name == "GDCMJ2K_TextGBR.dcm"
        ):
            assert np.array_equal(
                frames[0].stored, pixel_array(path, raw=True, decoding_plugin=reference)
            ), path.name
            compared += 1
    assert compared >= 6


def test_colours_have_the_luma_of_what_dcmtk_shows(real: list, tmp_path: Path) -> None:
    """Up to 8 levels where dcmtk cuts colours that RGB cannot hold; their Y is kept here."""
    compared = 0
    for path, instance, frames in real:
        if (
            instance.samples == 3
            and syntax_of(instance) in DCMTK
            and path.name not in NOT_IN_DCMTK
            and "jls" not in path.name
        ):
            reference = luma(dcmtk_colours(path, tmp_path, len(frames))).astype(int)
            difference = np.abs(reference - frames[-1].display)
            assert (
                difference.max() <= (0 if instance.photometric == "RGB" else 8)
                and difference.mean() < 0.4
            ), path.name
            compared += 1
    palette = PYDICOM_FILES / "examples_palette.dcm"
    assert (
        np.abs(
            luma(dcmtk_colours(palette, tmp_path, 1)).astype(int) - pixels_of(palette).display
        ).max()
        <= 1
    )
    assert compared >= 20


def dcmtk_colours(path: Path, tmp_path: Path, frame: int) -> np.ndarray:
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmtk is not installed: its dcmj2pnm is the reference for colours")
    subprocess.run(
        ["dcmj2pnm", "-O", "+op", "+F", str(frame), str(path), str(tmp_path / "out.ppm")],
        check=True,
        capture_output=True,
    )
    return np.asarray(Image.open(tmp_path / "out.ppm").convert("RGB"))
