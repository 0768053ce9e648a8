"""Stored, modality and display values against what the standard says."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import PYDICOM_FILES, table, write
from pydicom.uid import ExplicitVRBigEndian, JPEGBaseline8Bit

from medinv.data.dicom.geometry import affine
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_pixels
from medinv.data.transforms import as_metatensor, network_intake
from medinv.errors import PixelDataError

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


def shown(path: Path, pixels: np.ndarray = RAMP, **elements: object) -> Pixels:
    """What is read from a file of these pixels and elements."""
    return read_pixels(next(index([write(path / "x.dcm", pixels, **elements)]).instances))


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, as its pseudo code has it."""
    out = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    out[values <= centre - 0.5 - (width - 1) / 2] = 0
    out[values > centre - 0.5 + (width - 1) / 2] = 255
    return np.rint(out)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_stored_values_are_those_of_the_file(tmp_path: Path, kind: str) -> None:
    limits = np.iinfo(kind)
    pixels = np.random.default_rng(0).integers(
        limits.min, limits.max, (33, 20), kind, endpoint=True
    )
    out = shown(tmp_path, pixels)
    assert out.stored.dtype == pixels.dtype and np.array_equal(out.stored, pixels)
    assert out.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert out.display.min() == 0 and out.display.max() == 255


def test_overlays_and_rubbish_in_unused_bits_are_dropped(tmp_path: Path) -> None:
    out = shown(tmp_path, RAMP | 0xA000, BitsStored=12, HighBit=11)
    assert np.array_equal(out.stored, RAMP) and "unused bits dropped" in out.policy


def test_stored_bits_may_lie_high_in_the_word(tmp_path: Path) -> None:
    out = shown(tmp_path, RAMP << 4 | 5, BitsStored=12, HighBit=15)
    assert np.array_equal(out.stored, RAMP)


def test_sign_is_taken_from_the_highest_stored_bit(tmp_path: Path) -> None:
    out = shown(tmp_path, RAMP, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert np.array_equal(
        out.stored, np.where(RAMP < 2048, RAMP.astype(int), RAMP.astype(int) - 4096)
    )


def test_big_endian_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "x.dcm", RAMP, BitsStored=12, HighBit=11)
    little = read_pixels(next(index([path]).instances))
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID, ds.PixelData = ExplicitVRBigEndian, RAMP.astype(">u2").tobytes()
    pydicom.dcmwrite(path, ds, little_endian=False, implicit_vr=False, enforce_file_format=True)
    big = read_pixels(next(index([path]).instances))
    assert big.sha256 == little.sha256 and np.array_equal(big.display, little.display)


def test_one_bit_images(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (10, 7), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    out = shown(
        tmp_path,
        bits,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=packed + b"\0" * (len(packed) % 2),
    )
    assert np.array_equal(out.stored, bits) and np.array_equal(out.display, bits * 255)


def test_rescale_then_window(tmp_path: Path) -> None:
    out = shown(
        tmp_path,
        RescaleSlope="2",
        RescaleIntercept="-1024",
        WindowCenter=[40, 600],
        WindowWidth=[400, 1500],
    )
    assert np.array_equal(out.modality, RAMP * 2.0 - 1024)
    assert np.array_equal(out.display, linear(RAMP * 2.0 - 1024, 40, 400))
    assert "rescale slope 2 intercept -1024; window 40/400 LINEAR" in out.policy


def test_other_window_functions(tmp_path: Path) -> None:
    values = RAMP.astype(float)
    exact = shown(
        tmp_path, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT"
    ).display
    assert np.array_equal(exact, np.rint(np.clip((values - 2000) / 1000 + 0.5, 0, 1) * 255))
    sigmoid = shown(tmp_path, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID").display
    assert np.array_equal(sigmoid, np.rint(255 / (1 + np.exp(-4 * (values - 2000) / 1000))))
    step = shown(tmp_path, WindowCenter=2000, WindowWidth=1).display
    assert np.array_equal(step, np.where(values > 1999.5, 255, 0))


@pytest.mark.parametrize(
    "elements",
    [{"WindowWidth": 0}, {"WindowWidth": -5}, {"WindowWidth": 9, "VOILUTFunction": "CUBIC"}],
)
def test_an_impossible_window_is_left_aside(tmp_path: Path, elements: dict) -> None:
    out = shown(tmp_path, WindowCenter=2000, **elements)
    assert "full range 0..4095" in out.policy and any(
        "window" in warning for warning in out.warnings
    )


def test_lookup_tables(tmp_path: Path) -> None:
    squares = [k * k // 300 for k in range(4096)]
    assert np.array_equal(
        shown(tmp_path, ModalityLUTSequence=table(squares, 0, 16)).modality, np.take(squares, RAMP)
    )
    out = shown(
        tmp_path,
        VOILUTSequence=table([4 * k for k in range(1024)], 1000, 12),
        WindowCenter=1,
        WindowWidth=2,
    )
    assert np.array_equal(
        out.display, np.rint(np.clip(RAMP.astype(int) - 1000, 0, 1023) * 4 / 4095 * 255)
    )
    assert "VOI LUT" in out.policy


def test_monochrome1_is_inverted_last_and_only_once(tmp_path: Path) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    plain = shown(tmp_path, **window).display
    one = shown(tmp_path, **window, PhotometricInterpretation="MONOCHROME1")
    both = shown(
        tmp_path, **window, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"
    )
    shape = shown(tmp_path, **window, PresentationLUTShape="INVERSE")
    for out in (one, both, shape):
        assert np.array_equal(out.display, 255 - plain) and "inverted" in out.policy
    assert shape.warnings and not both.warnings


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_darkest_and_leaves_the_range_alone(tmp_path: Path, photometric: str) -> None:
    pixels = np.full((8, 8), 500, np.int16)
    pixels[0], pixels[1], pixels[2], pixels[3] = -2000, -1900, 100, 900
    elements = {
        "PhotometricInterpretation": photometric,
        "PixelPaddingValue": -2000,
        "PixelPaddingRangeLimit": -1800,
    }
    out = shown(tmp_path, pixels, **elements)
    assert "full range 100..900" in out.policy and "padding darkest" in out.policy
    assert (out.display[:2] == 0).all()
    expected = [0, 255, 128] if photometric == "MONOCHROME2" else [255, 0, 128]
    assert [out.display[row, 0] for row in (2, 3, 4)] == expected


def test_nothing_but_padding_and_constant_images_are_black(tmp_path: Path) -> None:
    assert shown(tmp_path, np.full((8, 8), 7, np.uint16), PixelPaddingValue=7).display.max() == 0
    assert shown(tmp_path, np.full((8, 8), 7, np.uint16)).display.max() == 0


def test_longer_pixel_data_are_tolerated_shorter_ones_are_not(tmp_path: Path) -> None:
    assert np.array_equal(shown(tmp_path, PixelData=RAMP.tobytes() + bytes(9000)).stored, RAMP)
    with pytest.raises(PixelDataError, match="need 8192 bytes, found 8190"):
        shown(tmp_path, PixelData=RAMP.tobytes()[:-2])


def test_huge_dimensions_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with pytest.raises(PixelDataError, match="65535 x 65535"):
        shown(tmp_path, Rows=65535, Columns=65535)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.55", "1.2.3.4", JPEGBaseline8Bit])
def test_what_no_decoder_takes_is_named(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "x.dcm", RAMP)
    content = path.read_bytes().replace(
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00", b"\x02\x00\x10\x00UI" + _uid(syntax)
    )
    path.write_bytes(content)
    with pytest.raises(PixelDataError) as caught:
        read_pixels(next(index([path]).instances))
    assert caught.value.stage == "decode" and caught.value.path == str(path)


def _uid(text: str) -> bytes:
    value = text.encode() + b"\0" * (len(text) % 2)
    return len(value).to_bytes(2, "little") + value


def test_overflowing_rescale_is_an_error_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(PixelDataError, match="grey"):
        shown(tmp_path, RescaleSlope="1e308", RescaleIntercept="0")


def test_lossy_compression_is_flagged(tmp_path: Path) -> None:
    assert shown(tmp_path, LossyImageCompression="01").lossy
    (near_lossless,) = index([PYDICOM_FILES / "JPEGLSNearLossless_08.dcm"]).instances
    assert near_lossless.lossy and "(lossy)" in read_pixels(near_lossless).policy
    assert not shown(tmp_path).lossy


def test_compressed_copies_decode_to_the_same_pixels() -> None:
    names = [
        "",
        "_RLE",
        "_bigendian",
        "_expb",
        "_implicit",
        "_jp2klossless",
        "_jpeg_ls_lossless",
        "_padded",
    ]
    pixels = [
        read_pixels(next(index([PYDICOM_FILES / f"MR_small{name}.dcm"]).instances))
        for name in names
    ]
    assert len({p.sha256 for p in pixels}) == 1


def test_a_codestream_with_the_wrong_sign_is_put_right() -> None:
    stored = read_pixels(
        next(index([PYDICOM_FILES / "J2K_pixelrep_mismatch.dcm"]).instances)
    ).stored
    assert stored.min() == -2000  # the padding outside the scanner's circle


def test_metatensor_keeps_place_and_record_through_the_intake(tmp_path: Path) -> None:
    geometry = {
        "PixelSpacing": [0.5, 0.25],
        "ImagePositionPatient": [10, 20, 30],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }
    instance = next(index([write(tmp_path / "x.dcm", RAMP, **geometry)]).instances)
    pixels = read_pixels(instance)
    tensor = as_metatensor(pixels, instance)
    assert pixels.aspect == 2.0 and pixels.spacing == (0.5, 0.25)
    # Row 3, column 4 lies 4 * 0.25 mm to the patient's left and 3 * 0.5 mm to the back; R A S axes
    # negate both.
    assert np.allclose(np.asarray(tensor.affine) @ [3, 4, 0, 1], [-(10 + 1), -(20 + 1.5), 30, 1])
    assert np.allclose(affine(instance.geometry), tensor.affine)
    out = network_intake(32)(tensor)
    assert (
        tuple(out.shape) == (1, 32, 32)
        and out.meta["policy"] == pixels.policy
        and out.meta["stored_sha256"] == pixels.sha256
    )
    assert np.allclose(np.asarray(out.affine) @ [0, 0, 0, 1], [-(10 + 0.125), -(20 + 0.25), 30, 1])
    assert "Secret" not in repr(tensor.meta) and "SECRET" not in repr(tensor.meta)


def test_aspect_without_a_spacing(tmp_path: Path) -> None:
    assert shown(tmp_path, PixelAspectRatio=[3, 2]).aspect == 1.5
    assert shown(tmp_path, ImagerPixelSpacing=[0.4, 0.2]).aspect == 2.0
    assert shown(tmp_path, PixelSpacing=[0, 0]).aspect == 1.0
