"""Hostile and odd files stay within bounds of memory and depth, and say what they are."""

import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import dataset, write
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medinv.data.dicom import whole
from medinv.data.dicom.archive import Limits
from medinv.data.dicom.index import index, open_dataset
from medinv.data.dicom.pixels import read_pixels
from medinv.errors import HeaderError, PixelDataError


def deflated(path: Path, added: bytes = b"", zeros: int = 0) -> Path:
    """A deflated radiograph, with more elements and zeros before its end."""
    ds = dataset(np.arange(64, dtype=np.uint8).reshape(8, 8))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    inside = zlib.decompressobj(-15).decompress(content[end:])
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [squeeze.compress(inside + added)]
    parts += [squeeze.compress(bytes(1 << 20)) for _ in range(zeros)]
    path.write_bytes(content[:end] + b"".join(parts) + squeeze.flush())
    return path


def error(path: Path) -> Exception:
    (broken,) = index([path]).broken
    return broken.error


def test_a_deflated_file_is_read_whole(tmp_path: Path) -> None:
    instance = next(index([deflated(tmp_path / "a.dcm")]).instances)
    assert instance.transfer_syntax == DeflatedExplicitVRLittleEndian
    assert read_pixels(instance).stored.ravel().tolist() == list(range(64))
    assert open_dataset(instance).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian


def test_a_deflated_bomb_is_refused_while_indexing(tmp_path: Path) -> None:
    element = b"\x09\x00\x01\x10OB\x00\x00" + (100 << 20).to_bytes(4, "little")
    found = error(deflated(tmp_path / "a.dcm", element, zeros=100))
    assert isinstance(found, HeaderError) and "bomb" in found.message


def test_what_a_refused_file_held_is_let_go(tmp_path: Path) -> None:
    """However many there are in a batch."""
    element = b"\x09\x00\x01\x10OB\x00\x00" + (100 << 20).to_bytes(4, "little")
    deflated(tmp_path / "a.dcm", element, zeros=100)
    tracemalloc.start()
    found = index([tmp_path])
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(list(found.broken)) == 1
    assert most > 60 << 20 and held < 4 << 20


def test_the_reader_inflates_no_more_than_the_header_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    element = b"\xfc\xff\xfc\xffOB\x00\x00" + (3 << 20).to_bytes(4, "little")
    instance = next(index([deflated(tmp_path / "a.dcm", element, zeros=3)]).instances)
    assert open_dataset(instance).Rows == 8
    monkeypatch.setattr(whole, "MOST_HEADER", 1 << 20)
    with pytest.raises(PixelDataError, match="inflates"):
        open_dataset(instance)


def test_a_header_in_a_zip_cannot_fill_the_memory(tmp_path: Path) -> None:
    """A description of 600 MB, in 600 kB of zip: refused having read a part of it."""
    content = write(tmp_path / "a.dcm", SeriesDescription="S").read_bytes()
    at = content.index(b"\x08\x00\x3e\x10LO")
    huge = b"\x08\x00\x3e\x10UN\x00\x00" + (600 << 20).to_bytes(4, "little")
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.dcm", "w", force_zip64=True) as member,
    ):
        member.write(content[:at] + huge)
        for _ in range(600):
            member.write(bytes(1 << 20))
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))\n"
        "from pathlib import Path\n"
        "from medinv.data.dicom.archive import Limits\n"
        "from medinv.data.dicom.index import index\n"
        "found = index([Path(sys.argv[1])], limits=Limits(ratio=10**9))\n"
        "print([broken.error.message for broken in found.broken])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.zip"], capture_output=True, text=True
    )
    assert "refused, damaged or hostile" in done.stdout, done.stderr


def test_a_large_member_must_be_readable_in_pieces(tmp_path: Path) -> None:
    """bzip2 and LZMA unpack a few bytes to any number at once."""
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive,
        archive.open("a.dcm", "w", force_zip64=True) as member,
    ):
        for _ in range(80):
            member.write(bytes(1 << 20))
    found = index([tmp_path / "a.zip"], limits=Limits(ratio=10**9)).broken
    assert ["piece by piece" in broken.error.message for broken in found] == [True]


@pytest.mark.parametrize("depth", [200, 2_000])
def test_sequences_within_sequences_are_read(tmp_path: Path, depth: int) -> None:
    content = write(tmp_path / "a.dcm").read_bytes()
    at = (
        content.index(b"\x18\x00")
        if b"\x18\x00\x15\x00" in content
        else content.index(b"\x20\x00\x0d\x00UI")
    )
    sequence = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    at = content.index(b"\x10\x00\x10\x00PN")
    (tmp_path / "a.dcm").write_bytes(content[:at] + sequence * depth + end * depth + content[at:])
    instance = next(index([tmp_path]).instances)
    assert read_pixels(instance).display.shape == (64, 48)


def test_sequences_without_end_are_an_error(tmp_path: Path) -> None:
    content = write(tmp_path / "a.dcm").read_bytes()
    sequence = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = content.index(b"\x10\x00\x10\x00PN")
    (tmp_path / "a.dcm").write_bytes(content[:at] + sequence * 200_000)
    assert isinstance(error(tmp_path / "a.dcm"), HeaderError)
