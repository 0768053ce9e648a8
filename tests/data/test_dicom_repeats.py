"""Files are known by where they lie, images by their UID and content: none is lost, none counted
twice."""

import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_samples import write

from medinv.data.dicom.index import index
from medinv.errors import RepeatedUidError


def test_one_uid_on_images_that_differ_fails_the_study(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
    write(tmp_path / "b.dcm", np.ones((4, 4), np.uint8))
    write(tmp_path / "c.dcm", number=2)
    write(tmp_path / "other.dcm", number=3, StudyInstanceUID="1.2.2")
    found = index([tmp_path])
    assert [Path(instance.source).name for instance in found.instances] == ["other.dcm"]
    assert {type(broken.error) for broken in found.broken} == {RepeatedUidError}
    assert [Path(broken.source).name for broken in found.broken] == ["a.dcm", "b.dcm", "c.dcm"]
    messages = [broken.error.message for broken in found.broken]
    assert "b.dcm" in messages[0] and "a.dcm" in messages[1]


def test_one_uid_in_two_studies_fails_both(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    write(tmp_path / "b.dcm", StudyInstanceUID="1.2.2")
    write(tmp_path / "c.dcm", StudyInstanceUID=None)
    assert index([tmp_path]).counts() == {"files": 3, "instances": 0, "skipped": 0, "broken": 3}


def test_copies_are_skipped_whatever_their_preamble_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    content = path.read_bytes()
    (tmp_path / "b.dcm").write_bytes(b"x" * 128 + content[128:])
    meta = 144 + int.from_bytes(content[140:144], "little")
    (tmp_path / "c").write_bytes(content[meta:])
    found = index([tmp_path])
    assert [instance.source for instance in found.instances] == [str(path)]
    assert [skipped.code for skipped in found.skipped] == ["duplicate"] * 2
    assert all(str(path) in skipped.message for skipped in found.skipped)


def test_copies_beside_another_content_do_not_hide_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
    shutil.copy(path, tmp_path / "b.dcm")
    write(tmp_path / "c.dcm", np.ones((4, 4), np.uint8))
    assert index([tmp_path]).counts() == {"files": 3, "instances": 0, "skipped": 1, "broken": 2}


def test_copies_of_a_nifti_volume_are_skipped(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 0), ("c", 1)):
        image = nibabel.Nifti1Image(np.full((4, 5, 6), value, np.int16), np.eye(4))
        nibabel.save(image, tmp_path / f"{name}.nii")
    found = index([tmp_path])
    assert [Path(instance.source).name for instance in found.instances] == ["a.nii", "c.nii"]
    assert [skipped.code for skipped in found.skipped] == ["duplicate"]


@pytest.mark.parametrize(
    "names",
    [
        (b"n\xff.dcm", b"n\\xff.dcm"),
        (b"n\x1b.dcm", b"n\\x1b.dcm"),
        (b"a\\b.dcm", b"a\\\\b.dcm"),
        (b"a!b.dcm", b"a\\x21b.dcm"),
    ],
)
def test_no_two_files_print_alike(tmp_path: Path, names: tuple[bytes, bytes]) -> None:
    for number, name in enumerate(names, 1):
        path = write(tmp_path / "x", number=number)
        os.rename(path, os.path.join(os.fsencode(tmp_path), name))
    found = index([tmp_path])
    assert len({instance.source for instance in found.instances}) == 2
    assert all(instance.source.isprintable() for instance in found.instances)


def test_a_folder_met_through_links_and_overlapping_inputs_is_read_once(tmp_path: Path) -> None:
    real = tmp_path / "real" / "deep"
    image = write(real / "a.dcm")
    os.symlink(tmp_path / "real", tmp_path / "link")
    os.symlink(image, tmp_path / "direct.dcm")
    ways = [tmp_path / "link", tmp_path / "real", real, image, tmp_path / "direct.dcm"]
    for inputs in (ways, ways[::-1], [tmp_path / "link" / "deep" / ".." / "deep", *ways]):
        assert index(inputs).counts() == {"files": 1, "instances": 1, "skipped": 0, "broken": 0}
    listed = tmp_path / "list.csv"
    listed.write_text("path\n" + "".join(f"{path}\n" for path in ways))
    assert index([listed, *ways]).counts()["files"] == 1


def test_a_list_through_a_link_keeps_its_study(tmp_path: Path) -> None:
    write(tmp_path / "real" / "a.dcm")
    os.symlink(tmp_path / "real", tmp_path / "link")
    (tmp_path / "list.csv").write_text("path,study\nlink/a.dcm,visit\n")
    found = index([tmp_path / "real", tmp_path / "list.csv"])
    assert [study.uid for study in found.studies] == ["visit"]
    assert found.counts()["files"] == 1


@pytest.mark.parametrize("name", ["[bold]", "[/]", "%s{0}", "<b>&amp;"])
def test_folder_names_with_markup_are_names(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name.replace("/", "∕") / "a.dcm")
    assert [instance.source for instance in index([tmp_path]).instances] == [str(path)]
