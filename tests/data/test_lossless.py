"""The lossless intake: features decode to the file's bytes, whatever the size, depth, sign and
unused bits."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from dicom_samples import PYDICOM_FILES, dataset, write

from medinv.data.dicom.index import index, open_dataset
from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels
from medinv.data.lossless import LosslessIntake, certify_lossless
from medinv.data.transforms import network_intake
from medinv.errors import PixelDataError, ShapeError
from medinv.models.density import Classifier
from medinv.models.store import load

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")


@pytest.fixture(scope="module")
def chest() -> Classifier:
    return load("chest-xray")


def noise(shape: tuple[int, int], kind: str, bits: int) -> np.ndarray:
    """Every bit pattern is equally likely: the worst that a wavelet can be given."""
    lowest = -(1 << bits - 1) if kind[0] == "i" else 0
    return np.random.default_rng(0).integers(lowest, lowest + (1 << bits), shape).astype(kind)


def written(path: Path, pixels: np.ndarray, bits: int, **elements: object) -> tuple[Pixels, bytes]:
    """What is read, and the Pixel Data of the file."""
    path = write(path, pixels, BitsStored=bits, HighBit=bits - 1, **elements)
    return read_pixels(next(index([path]).instances)), pydicom.dcmread(path).PixelData


@pytest.mark.parametrize(
    ("shape", "kind", "bits"),
    [
        ((2048, 2048), "u2", 16),
        ((1025, 771), "u2", 12),
        ((1025, 771), "i2", 16),
        ((300, 40), "i2", 12),
        ((64, 64), "u1", 8),
        ((1, 1), "u2", 16),
        ((65, 3), "u1", 8),
        ((7, 129), "u4", 32),
        ((7, 129), "i4", 32),
    ],
)
def test_features_decode_to_the_bytes_of_the_file(
    chest: Classifier, tmp_path: Path, shape: tuple[int, int], kind: str, bits: int
) -> None:
    pixels, content = written(
        tmp_path / "x.dcm", noise(shape, kind, bits), bits, WindowCenter=2000, WindowWidth=4000
    )
    found = certify_lossless(chest, pixels)
    assert found.exact and found.error < 1e-3 and found.margin == 0.5 - found.error
    assert found.stored_sha256 == found.recovered_sha256 == hashlib.sha256(content).hexdigest()
    assert found.bytes == len(content)


def test_what_lies_in_unused_bits_comes_back_too(chest: Classifier, tmp_path: Path) -> None:
    overlay = noise((100, 90), "u2", 12) | noise((100, 90), "u2", 4) << 12
    pixels, content = written(tmp_path / "x.dcm", overlay, 12)
    assert pixels.stored.max() < 4096
    found = certify_lossless(chest, pixels)
    assert found.recovered_sha256 == hashlib.sha256(content).hexdigest()
    assert not found.exact and "12 bits stored" in found.contradicted  # values may have wrapped
    ds = dataset(overlay, BitsStored=12, HighBit=11)
    for group, bit in ((0x6000, 12), (0x6002, 13), (0x6004, 14), (0x6006, 15)):
        ds.add_new((group, 0x0010), "US", 100)
        ds.add_new((group, 0x0100), "US", 16)
        ds.add_new((group, 0x0102), "US", bit)
    ds.save_as(tmp_path / "declared.dcm", enforce_file_format=True)
    pixels = read_pixels(next(index([tmp_path / "declared.dcm"]).instances))
    assert certify_lossless(chest, pixels).exact and "overlay" in pixels.policy
    assert not pixels.warnings
    high = write(tmp_path / "high.dcm", overlay, BitsStored=12, HighBit=15)
    found = certify_lossless(chest, read_pixels(next(index([high]).instances)))
    assert found.exact and found.recovered_sha256 == hashlib.sha256(overlay.tobytes()).hexdigest()


def test_a_frame_of_more_bytes_than_the_header_counts_is_not_certified(
    chest: Classifier, tmp_path: Path
) -> None:
    whole = next(index([PYDICOM_FILES / "MR_small_padded.dcm"]).instances)
    found = certify_lossless(chest, read_pixels(whole))
    assert found.stored_sha256 == found.recovered_sha256 and not found.exact
    assert "128 bytes more" in found.contradicted


def test_a_turned_film_comes_back_as_it_was_stored(chest: Classifier, tmp_path: Path) -> None:
    ramp = np.arange(90 * 70, dtype=np.uint16).reshape(90, 70)
    upright, _ = written(tmp_path / "a.dcm", ramp, 16, PatientOrientation=["L", "F"])
    stored = np.ascontiguousarray(ramp[::-1].T)
    turned, other = written(tmp_path / "b.dcm", stored, 16, PatientOrientation=["H", "L"])
    inputs = [LosslessIntake(64).forward(pixels).image for pixels in (upright, turned)]
    assert turned.turn and torch.equal(*inputs)
    found = certify_lossless(chest, turned)
    assert found.exact and found.recovered_sha256 == hashlib.sha256(other).hexdigest()


def test_every_real_grey_file_comes_back(chest: Classifier) -> None:
    seen = 0
    for name in (
        "CT_small",
        "MR_small",
        "examples_overlay",
        "image_dfl",
        "rtdose",
        "MR_small_jp2klossless",
        "693_J2KI",
        "MR_small_RLE",
    ):
        instance = next(index([PYDICOM_FILES / f"{name}.dcm"]).instances)
        stored = b""
        for pixels in read_frames(instance):
            found = certify_lossless(chest, pixels)
            assert found.exact
            stored += pixels.words.tobytes()
        if instance.transfer_syntax in NATIVE:
            assert open_dataset(instance).PixelData.startswith(stored)
            seen += 1
    assert seen >= 5


def test_real_studies_come_back(chest: Classifier, data_dir: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(data_dir / "dicom" / "ct_contrast100.zip") as archive:
        for member in [name for name in archive.namelist() if name.endswith(".dcm")][::25]:
            archive.extract(member, tmp_path)
    instances = list(index([tmp_path]).instances)
    assert len(instances) == 4
    for instance in instances:
        found = certify_lossless(chest, read_pixels(instance))
        assert (
            found.exact
            and found.recovered_sha256
            == hashlib.sha256(open_dataset(instance).PixelData).hexdigest()
        )


def test_the_network_sees_the_averages_scaled_by_the_header_alone(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(256), np.arange(256)).astype(np.uint16) * 8
    pixels, _ = written(
        tmp_path / "x.dcm",
        ramp,
        12,
        WindowCenter=1000.5,
        WindowWidth=1021,
        RescaleSlope=0.5,
        RescaleIntercept=-10,
    )
    taken = LosslessIntake(64).forward(pixels)
    assert taken.image.dtype == torch.float64 and tuple(taken.image.shape) == (1, 64, 64)
    assert [tuple(d.shape) for d in taken.details] == [
        (3, 256, 256),
        (3, 128, 128),
        (3, 64, 64),
    ] and not taken.low.is_floating_point()
    # a window from 490 to 1510 in rescaled values, 1000 to 3040 in stored ones, is 0 to 255; what
    # lies outside is carried beside
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(ramp.astype(float))[None], 4)
    assert (taken.low + taken.beyond - means).abs().max() < 2
    assert torch.allclose(taken.image, (taken.low.double() - 1000) / 2040 * 255, atol=1e-9)
    assert (
        taken.low.min() == 1000
        and taken.low.max() == 3040
        and taken.beyond.min() < -900
        and taken.beyond.max() > 900
    )


def test_averages_follow_the_lossy_intake(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:301, :517]
    smooth = (2000 + 1500 * np.sin(rows / 40) * np.cos(columns / 60)).astype(np.uint16)
    pixels, _ = written(tmp_path / "x.dcm", smooth, 12, WindowCenter=2048, WindowWidth=4096)
    lossy = np.asarray(network_intake(64)(pixels.display[None]))
    assert np.abs(LosslessIntake(64).forward(pixels).image.numpy() - lossy).max() < 2  # of 255


def test_monochrome1_and_lookup_tables_are_scaled_affinely(tmp_path: Path) -> None:
    pixels, _ = written(
        tmp_path / "x.dcm", noise((64, 64), "u2", 12), 12, PhotometricInterpretation="MONOCHROME1"
    )
    taken = LosslessIntake(64).forward(pixels)
    assert (
        torch.allclose(taken.image, 255 - taken.low.double() / 4095 * 255)
        and "all of 12 bits; inverted" in taken.policy
    )


def test_a_wrong_feature_is_no_certificate(chest: Classifier, tmp_path: Path) -> None:
    """A trunk that is off by one stored unit somewhere must be found out."""

    class Off:
        image_shape, parameters, features = chest.image_shape, chest.parameters, chest.features

        def invert(self, z: torch.Tensor) -> torch.Tensor:
            image = chest.invert(z)
            image[0, 0, 5, 5] += 255 / 4000
            return image

    stored = noise(chest.image_shape[1:], "u2", 12)
    pixels, _ = written(tmp_path / "x.dcm", stored, 12, WindowCenter=2000.5, WindowWidth=4001)
    found = certify_lossless(Off(), pixels)
    assert not found.exact and found.stored_sha256 != found.recovered_sha256


def test_colour_is_refused_by_name(chest: Classifier) -> None:
    for name in ("SC_rgb_rle.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"):
        with pytest.raises(PixelDataError, match="colour"):
            certify_lossless(chest, read_pixels(next(index([PYDICOM_FILES / name]).instances)))
    with pytest.raises(ShapeError, match="reads"):

        class Colour:
            image_shape, parameters = (3, 64, 64), chest.parameters

        certify_lossless(
            Colour(), read_pixels(next(index([PYDICOM_FILES / "CT_small.dcm"]).instances))
        )
