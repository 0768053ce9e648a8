"""Zips are read in memory; hostile and damaged ones are refused by name, and the rest goes on."""

import struct
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import write

from medinv.data.dicom.archive import Limits
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import read_pixels
from medinv.errors import ArchiveError


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """A DICOM file's content."""
    return write(tmp_path / "image" / "a.dcm").read_bytes()


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_read_like_files(tmp_path: Path, image: bytes) -> None:
    path = zipped(
        tmp_path / "studies.zip",
        **{"deep/er/a.dcm": image, "README.md": b"read me", "folder/": b""},
    )
    found = index([path])
    (instance,) = found.instances
    assert instance.source == f"{path}!deep/er/a.dcm"
    (on_disk,) = index([tmp_path / "image"]).instances
    assert read_pixels(instance).sha256 == read_pixels(on_disk).sha256
    assert found.counts() == {"files": 2, "instances": 1, "skipped": 1, "broken": 0}


def test_zips_within_folders_are_opened_and_zips_within_zips_are_not(
    tmp_path: Path, image: bytes
) -> None:
    inner = zipped(tmp_path / "inner.zip", **{"a.dcm": image}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    zipped(tmp_path / "folder.zip", **{"a.dcm": image, "nested.zip": inner})
    (tmp_path / "image" / "a.dcm").unlink()
    found = index([tmp_path])
    assert [i.source for i in found.instances] == [f"{tmp_path}/folder.zip!a.dcm"]
    assert [s.code for s in found.skipped] == ["nested-archive"]


@pytest.mark.parametrize(
    "name", ["/etc/a.dcm", "../a.dcm", "x/../../a.dcm", "C:\\a.dcm", "..\\a.dcm"]
)
def test_names_that_point_outside_are_refused_alone(
    tmp_path: Path, image: bytes, name: str
) -> None:
    found = index([zipped(tmp_path / "z.zip", **{name: image, "good.dcm": image})])
    assert [i.location.member for i in found.instances] == ["good.dcm"]
    (broken,) = found.broken
    assert (
        isinstance(broken.error, ArchiveError)
        and "outside" in broken.error.message
        and "a.dcm" in str(broken.error)
    )


def test_links_and_repeated_names_are_refused(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        for _ in range(2):
            with pytest.warns(UserWarning) if _ else nullcontext():
                archive.writestr("twice.dcm", image)
    messages = [broken.error.message for broken in index([path]).broken]
    assert len(messages) == 2 and "link" in messages[0] and "2 members" in messages[1]


def test_encrypted_members_are_refused(tmp_path: Path, image: bytes) -> None:
    path = zipped(tmp_path / "z.zip", **{"a.dcm": image})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    (broken,) = index([path]).broken
    assert "encrypted" in broken.error.message and "a.dcm" in str(broken.error)


def test_bombs_and_giants_are_refused(tmp_path: Path, image: bytes) -> None:
    path = zipped(tmp_path / "bomb.zip", **{"a.dcm": image, "zeros.dcm": bytes(4 << 20)})
    small = {"ratio_floor": 1 << 20}
    (whole,) = index([path], limits=Limits(ratio=100, **small)).broken
    assert "bomb" in whole.error.message and whole.source == str(path)
    (member,) = index([path], limits=Limits(ratio=1000, member=1 << 20, **small)).broken
    assert member.source.endswith("zeros.dcm")
    for limits in (Limits(total=1 << 20), Limits(members=1)):
        assert [type(b.error) for b in index([path], limits=limits).broken] == [ArchiveError]


def test_a_blank_image_is_no_bomb(tmp_path: Path) -> None:
    blank = write(tmp_path / "blank.dcm", np.zeros((512, 512), np.uint16)).read_bytes()
    (instance,) = index([zipped(tmp_path / "z.zip", **{"a.dcm": blank})]).instances
    assert read_pixels(instance).display.max() == 0


def test_a_damaged_archive_is_broken_as_a_whole_or_by_member(tmp_path: Path, image: bytes) -> None:
    path = zipped(tmp_path / "z.zip", **{"a.dcm": image, "b.dcm": image})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert [type(b.error) for b in index([path]).broken] == [ArchiveError]
    header = content.index(b"PK\x03\x04", 10)
    path.write_bytes(content[: header + 60] + bytes(40) + content[header + 100 :])
    found = index([path])
    assert [i.location.member for i in found.instances] == ["a.dcm"]
    assert [type(b.error) for b in found.broken] == [ArchiveError]


@pytest.mark.parametrize("side", [8, 512])
def test_a_wrong_checksum_is_noticed_at_the_latest_when_the_pixels_are_read(
    tmp_path: Path, side: int
) -> None:
    image = write(tmp_path / "a.dcm", np.ones((side, side), np.uint16)).read_bytes()
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.dcm", image)
    content = bytearray(path.read_bytes())
    content[content.index(image) + len(image) - 10] ^= 1
    path.write_bytes(content)
    found = index([path])
    assert [broken.error.code for broken in found.broken] == ["archive"] * (side == 8)
    for instance in found.instances:
        with pytest.raises(ArchiveError, match="damaged"):
            read_pixels(instance)


def test_flipped_bytes_anywhere_in_a_zip_raise_nothing_else(tmp_path: Path, image: bytes) -> None:
    path = zipped(tmp_path / "z.zip", **{"a.dcm": image[:2000], "b.txt": b"text"})
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(
            content[:place] + struct.pack("B", content[place] ^ 0xFF) + content[place + 1 :]
        )
        assert index([path]).counts()["files"] >= 1
