"""Where codestream, Pixel Data and header contradict each other: right pixels, a warning, or a
refusal."""

import base64
import io
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, write
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medinv.data.dicom.codestream import Announced, fault
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels
from medinv.errors import PixelDataError

LOSSLESS = [JPEG2000Lossless, JPEGLSLossless, RLELossless]
# 16 x 24 pixels 200 + 200 sin(x / 3) + 10 y as JPEG Extended of 12 bits, by dcmtk
TWELVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQ"
    "ERMUFRUVDA8XGBYUGBIUFRT/wQALDAAQABgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAACQoN/8QAIxAAAAQEBwEAAAAAAAAAAAAA"
    "AAEHIwQJQUQDCCYnKEJhYv/aAAgBAQAAPwDOgsmqScXMNmzKnyJn5xaSb5RLNydPQpsgpJNMwjPQqB6cmqScXMNmzKnyJnpxaSb5"
    "RLNydPQp0gpJNMwjPQqD///Z"
)


def ramp(bits: int, signed: bool = False) -> np.ndarray:
    """80 x 70 pixels from the lowest value to the highest."""
    lowest = -(1 << bits - 1) if signed else 0
    values = np.linspace(lowest, lowest + (1 << bits) - 1, 80 * 70).round().reshape(80, 70)
    return values.astype(("i" if signed else "u") + ("1" if bits <= 8 else "2"))


def packed(path: Path, pixels: np.ndarray, bits: int, syntax: str, **header: object) -> Path:
    """Compressed as it should be, then with other elements in the header."""
    ds = dataset(pixels, BitsStored=bits, HighBit=bits - 1)
    ds.compress(syntax, generate_instance_uid=False)
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    ds.save_as(path, enforce_file_format=True)
    return path


def encapsulated(
    path: Path, frames: list[bytes], shape: tuple[int, int], syntax: str, **header: object
) -> Path:
    """Codestreams as they are."""
    ds = dataset(np.zeros(shape, np.uint8), **header)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate(frames, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)
    return path


def read(path: Path) -> Pixels:
    return read_pixels(next(index([path]).instances))


@pytest.mark.parametrize("syntax", LOSSLESS[:2])
@pytest.mark.parametrize("signed", [False, True])
def test_precision_is_the_codestreams(tmp_path: Path, syntax: str, signed: bool) -> None:
    pixels = ramp(16, signed)
    got = read(packed(tmp_path / "a.dcm", pixels, 16, syntax, BitsStored=12, HighBit=11))
    assert np.array_equal(got.stored, pixels) and "16 bits" in got.policy
    assert "announces 12 bits" in got.warnings[0] and got.contradicted
    fits = ramp(12, signed)
    got = read(packed(tmp_path / "b.dcm", fits, 16, syntax, BitsStored=12, HighBit=11))
    assert np.array_equal(got.stored, fits) and not got.warnings and not got.contradicted
    got = read(packed(tmp_path / "c.dcm", fits, 12, syntax, BitsStored=16, HighBit=15))
    assert np.array_equal(got.stored, fits) and not got.warnings


def test_a_signed_codestream_is_signed(tmp_path: Path) -> None:
    pixels = ramp(12, signed=True)
    got = read(packed(tmp_path / "a.dcm", pixels, 12, JPEG2000Lossless, PixelRepresentation=0))
    assert np.array_equal(got.stored, pixels) and got.warnings and got.contradicted


def test_bits_of_signed_values_in_an_unsigned_codestream_are_signed(tmp_path: Path) -> None:
    pixels = ramp(12, signed=True)
    bits = (pixels.view("u2") & 0xFFF).astype("u2")
    got = read(packed(tmp_path / "a.dcm", bits, 12, JPEG2000Lossless, PixelRepresentation=1))
    assert np.array_equal(got.stored, pixels) and "taken as signed" in got.warnings[0]


@pytest.mark.parametrize("syntax", LOSSLESS[:2])
def test_another_number_of_components_is_refused(tmp_path: Path, syntax: str) -> None:
    path = packed(tmp_path / "a.dcm", ramp(8), 8, syntax)
    ds = pydicom.dcmread(path)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.save_as(path)
    with pytest.raises(PixelDataError, match="1 components"):
        read(path)


def test_rle_of_another_word_is_refused(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.dcm", ramp(16), 16, RLELossless, BitsAllocated=8, BitsStored=8, HighBit=7
    )
    with pytest.raises(PixelDataError, match="2 segments"):
        read(path)


def test_a_codestream_of_another_kind_than_announced_is_decoded_and_said(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.dcm", ramp(12), 12, JPEGLSLossless)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    ds.save_as(path)
    got = read(path)
    assert np.array_equal(got.stored, ramp(12)) and "does not say" in got.warnings[0]


def test_eight_bits_in_words_of_sixteen(tmp_path: Path) -> None:
    picture, content = ramp(8), io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=100)
    sixteen = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    path = tmp_path / "a.dcm"
    encapsulated(path, [content.getvalue()], picture.shape, JPEGBaseline8Bit, **sixteen)
    assert np.abs(read(path).stored.astype(int) - picture).max() <= 4


def test_jpeg_of_twelve_bits_is_read(tmp_path: Path) -> None:
    twelve = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    encapsulated(tmp_path / "a.dcm", [TWELVE], (16, 24), JPEGExtended12Bit, **twelve)
    row, column = np.mgrid[:16, :24]
    got = read(tmp_path / "a.dcm")
    assert np.abs(got.stored - (200 + 200 * np.sin(column / 3) + 10 * row)).max() < 4
    assert got.stored.max() > 255 and got.lossy
    encapsulated(tmp_path / "cut.dcm", [TWELVE[:-30]], (16, 24), JPEGExtended12Bit, **twelve)
    with pytest.raises(PixelDataError):
        read(tmp_path / "cut.dcm")


def test_a_second_decoder_takes_what_the_first_cannot(tmp_path: Path) -> None:
    """A writer that fills up with zeros before the end marker, which CharLS does not forgive."""
    whole = pydicom.dcmread(packed(tmp_path / "a.dcm", ramp(12), 12, JPEGLSLossless))
    stream = next(iter(generate_frames(whole.PixelData, number_of_frames=1))).rstrip(b"\0")
    filled = stream[:-2] + b"\0\0" + stream[-2:]
    with pytest.raises(RuntimeError):
        jpeg_ls.decode(np.frombuffer(filled, np.uint8))
    twelve = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    got = read(encapsulated(tmp_path / "b.dcm", [filled], (80, 70), JPEGLSLossless, **twelve))
    assert np.array_equal(got.stored, ramp(12))
    assert got.warnings == ("decoded by gdcm, as pyjpegls could not",)


@pytest.mark.parametrize("count", [None, 1, 2])
def test_frames_that_the_header_does_not_count_are_said(tmp_path: Path, count: int | None) -> None:
    frames = np.stack([ramp(12), ramp(12)[::-1], ramp(12)])
    path = write(tmp_path / "a.dcm", ramp(12), BitsStored=12, HighBit=11)
    ds = pydicom.dcmread(path)
    ds.PixelData = frames.tobytes()
    if count:
        ds.NumberOfFrames = count
    ds.save_as(path)
    for k, got in enumerate(read_frames(next(index([path]).instances))):
        assert np.array_equal(got.stored, frames[k])
        assert f"hold 3 frames, the header counts {count or 1}" in got.warnings[0]
        assert got.contradicted == got.warnings[0]


@pytest.mark.parametrize("table", [False, True])
def test_codestreams_that_the_header_does_not_count_are_said(tmp_path: Path, table: bool) -> None:
    streams = [bytes(jpeg_ls.encode_array(ramp(8)[::step])) for step in (1, 1, 1)]
    path = encapsulated(tmp_path / "a.dcm", streams, (80, 70), JPEGLSLossless)
    if table:
        ds = pydicom.dcmread(path)
        ds.PixelData = encapsulate(streams, has_bot=True)
        ds.save_as(path)
    got = read(path)
    assert np.array_equal(got.stored, ramp(8)) and "hold 3 frames" in got.contradicted


def test_a_frame_in_several_fragments_is_one(tmp_path: Path) -> None:
    stream = bytes(jpeg_ls.encode_array(ramp(8)))
    ds = dataset(ramp(8))
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    ds.PixelData = encapsulate([stream], fragments_per_frame=3, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    got = read(tmp_path / "a.dcm")
    assert np.array_equal(got.stored, ramp(8)) and not got.warnings


@pytest.mark.parametrize("signed", [False, True])
def test_values_above_the_bits_stored_are_said(tmp_path: Path, signed: bool) -> None:
    elements = {"BitsStored": 12, "HighBit": 11}
    clean = ramp(12, signed)
    assert not read(write(tmp_path / "clean.dcm", clean, **elements)).warnings
    wrong = clean.copy()
    wrong[0, 0] += 1 << 13
    got = read(write(tmp_path / "wrong.dcm", wrong, number=2, **elements))
    assert np.array_equal(got.stored, clean)
    assert "more than the 12 bits stored" in got.warnings[0] and got.contradicted


def test_padding_in_unused_bits_is_padding(tmp_path: Path) -> None:
    pixels = ramp(12) // 2 + 1000
    pixels[:5] = 0xF000  # 0 where only the bits stored are looked at
    elements = {"BitsStored": 12, "HighBit": 11}
    path = write(tmp_path / "a.dcm", pixels, **elements)
    ds = pydicom.dcmread(path)
    ds.add_new("PixelPaddingValue", "US", 0xF000)
    ds.save_as(path)
    got = read(path)
    assert (got.display[:5] == 0).all() and got.display[-1, -1] == 255
    assert f"full range {pixels[5:].min()}" in got.policy and "padding" in got.policy
    assert not got.warnings and got.contradicted is None


@pytest.mark.parametrize(
    ("syntax", "says"),
    [
        ("1.2.840.113619.5.2", "GE private"),
        ("1.2.3.4.5", "1.2.3.4.5, of a private or unknown kind"),
    ],
)
def test_private_syntaxes_are_named_by_what_they_are(
    tmp_path: Path, syntax: str, says: str
) -> None:
    path = write(tmp_path / "a.dcm")
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(PixelDataError, match=says):
        read(path)


@pytest.mark.parametrize("length", [0, 1, 7, 1 << 31])
def test_a_box_of_an_impossible_length_is_refused_at_once(tmp_path: Path, length: int) -> None:
    """pydicom steps over a box of no length for ever."""
    whole = pydicom.dcmread(packed(tmp_path / "a.dcm", ramp(8), 8, JPEG2000Lossless))
    stream = next(iter(generate_frames(whole.PixelData, number_of_frames=1)))
    start = b"\0\0\0\x0cjP  \r\n\x87\n"
    boxed = start + length.to_bytes(4) + b"ftypjp2 " + (len(stream) + 8).to_bytes(4) + b"jp2c"
    path = encapsulated(tmp_path / "b.dcm", [boxed + stream], (80, 70), JPEG2000Lossless)
    with pytest.raises(PixelDataError, match="boxes before the JPEG 2000 codestream"):
        read(path)
    sound = start + (12).to_bytes(4) + b"ftypjp2 " + (len(stream) + 8).to_bytes(4) + b"jp2c"
    assert fault(sound + stream, JPEG2000Lossless, Announced(80, 70, 1, 8)) is None
