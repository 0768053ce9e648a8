"""Damaged files: each is counted once, none raises anything but a MedinvError, none is shown as
if it were whole."""

import random
from pathlib import Path

import pytest
from dicom_samples import PYDICOM_FILES

from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_pixels
from medinv.errors import MedinvError, PixelDataError

IMAGES = [
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPGExtended.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "693_J2KI.dcm",
]
OTHERS = [
    "rtstruct.dcm",
    "test-SR.dcm",
    "nested_priv_SQ.dcm",
    "UN_sequence.dcm",
    "SC_rgb_rle_2frame.dcm",
    "dicomdirtests/DICOMDIR",
]


def outcome(path: Path, content: bytes) -> Pixels | MedinvError | None:
    """Pixels, the typed error, or None if the file was skipped."""
    path.write_bytes(content)
    found = index([path])
    records = [
        record.source for kind in (found.instances, found.skipped, found.broken) for record in kind
    ]
    assert records.count(str(path)) == 1 and len(records) == len(
        set(records)
    )  # a DICOMDIR brings the files that it lists
    for broken in found.broken:
        return broken.error
    for instance in found.instances:
        try:
            return read_pixels(instance)
        except MedinvError as error:
            return error
    return None


@pytest.mark.parametrize("name", IMAGES)
def test_a_truncated_image_is_an_error_or_still_the_same_image(tmp_path: Path, name: str) -> None:
    content = (PYDICOM_FILES / name).read_bytes()
    whole = outcome(tmp_path / "x.dcm", content)
    ends = {
        *range(0, len(content), max(1, len(content) // 60)),
        *range(len(content) - 12, len(content)),
    }
    for end in sorted(ends):
        out = outcome(tmp_path / "x.dcm", content[:end])
        if isinstance(out, Pixels):
            assert isinstance(whole, Pixels) and out.sha256 == whole.sha256
        elif end > len(content) // 2:
            assert isinstance(out, MedinvError)


@pytest.mark.parametrize("name", IMAGES + OTHERS)
def test_flipped_zeroed_and_inserted_bytes_raise_nothing_else(tmp_path: Path, name: str) -> None:
    original, chance = (PYDICOM_FILES / name).read_bytes(), random.Random(name)
    for _ in range(60):
        content = bytearray(original)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(min(len(content), chance.choice([400, 3000, len(content)])))
            kind = chance.randrange(4)
            if kind == 0:
                content[place] ^= 1 << chance.randrange(8)
            elif kind == 1:
                content[place : place + 4] = chance.choice(
                    [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\1\0\0\0"]
                )
            elif kind == 2:
                content[place : place + 40] = bytes(40)
            else:
                content[place:place] = chance.randbytes(chance.randint(1, 9))
        out = outcome(tmp_path / "x.dcm", bytes(content))
        assert out is None or isinstance(out, (Pixels, MedinvError))


def test_pydicoms_own_truncated_image(tmp_path: Path) -> None:
    error = outcome(tmp_path / "x.dcm", (PYDICOM_FILES / "MR_truncated.dcm").read_bytes())
    assert (
        isinstance(error, PixelDataError)
        and "truncated" in error.message
        and error.path == str(tmp_path / "x.dcm")
    )


def test_what_the_decoder_raised_stays_attached(tmp_path: Path) -> None:
    content = bytearray((PYDICOM_FILES / "MR_small_jpeg_ls_lossless.dcm").read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start + 60 : start + 400] = b"\xff\x90" * 170
    error = outcome(tmp_path / "x.dcm", bytes(content))
    assert (
        isinstance(error, PixelDataError)
        and error.stage == "decode"
        and error.__cause__ is not None
    )


def test_a_codestream_of_another_size_than_the_header_says(tmp_path: Path) -> None:
    content = (PYDICOM_FILES / "MR_small_jp2klossless.dcm").read_bytes()
    error = outcome(
        tmp_path / "x.dcm",
        content.replace(
            b"\x28\x00\x10\x00US\x02\x00\x40\x00", b"\x28\x00\x10\x00US\x02\x00\x80\x00"
        ),
    )
    assert (
        isinstance(error, PixelDataError)
        and "64 x 64" in error.message
        and "128 x 64" in error.message
    )
