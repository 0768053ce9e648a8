"""Lists of files: a DICOMDIR and a CSV manifest.

What they name and is not there is said, and nothing is counted twice.
"""

import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from dicom_samples import PYDICOM_FILES, write
from hypothesis import given, settings
from hypothesis import strategies as st

from medinv.data.dicom.index import Index, index
from medinv.errors import DataError, HeaderError, MissingDataError, NotDicomError

MEDIUM = PYDICOM_FILES / "dicomdirtests"


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A copy of the medium that pydicom ships: a DICOMDIR of 31 images."""
    shutil.copytree(
        MEDIUM,
        tmp_path / "cd",
        ignore=shutil.ignore_patterns("TINY*", "DICOMDIR-*", "*.md", "*.txt"),
    )
    return tmp_path / "cd"


def sources(found: Index) -> list[str]:
    return [
        record.source for kind in (found.instances, found.skipped, found.broken) for record in kind
    ]


@pytest.mark.parametrize(
    "name",
    ["DICOMDIR", "DICOMDIR-implicit", "DICOMDIR-bigEnd", "DICOMDIR-nooffset", "DICOMDIR-reordered"],
)
def test_a_dicomdir_stands_for_the_files_it_lists(name: str) -> None:
    found = index([MEDIUM / name])
    assert found.counts() == {"files": 32, "instances": 31, "skipped": 1, "broken": 0}
    assert [skipped.code for skipped in found.skipped] == ["dicomdir"]


def test_a_dicomdir_and_its_folder_say_the_same(medium: Path) -> None:
    assert (
        sorted(sources(index([medium / "DICOMDIR"])))
        == sorted(sources(index([medium])))
        == sorted(sources(index([medium, medium / "DICOMDIR"])))
    )


def test_listed_files_that_are_missing_are_broken_and_found_in_any_case_of_letters(
    medium: Path,
) -> None:
    first, second = sorted(
        path for path in medium.rglob("*") if path.is_file() and path.name != "DICOMDIR"
    )[:2]
    first.unlink()
    second.rename(second.with_name(second.name.lower() + ";1"))
    for given_path in (medium, medium / "DICOMDIR"):
        found = index([given_path])
        assert found.counts() == {"files": 31, "instances": 30, "skipped": 0, "broken": 1}
        (broken,) = found.broken
        assert broken.source == str(medium / "DICOMDIR")
        assert isinstance(broken.error, MissingDataError)
        assert str(first) in broken.error.message and "incomplete" in broken.error.message


def test_entries_of_a_dicomdir_away_from_its_files_are_no_files(tmp_path: Path) -> None:
    shutil.copy(MEDIUM / "DICOMDIR", tmp_path / "DICOMDIR")
    image = write(tmp_path / "loose.dcm")
    found = index([tmp_path])
    assert found.counts() == {"files": 2, "instances": 1, "skipped": 1, "broken": 0}
    (skipped,) = found.skipped
    assert skipped.code == "dicomdir" and "none of which lie here" in skipped.message
    assert [instance.source for instance in found.instances] == [str(image)]


def test_a_dicomdir_in_a_zip_tells_what_the_zip_lacks(medium: Path, tmp_path: Path) -> None:
    gone = sorted(path for path in medium.rglob("*") if path.is_file() and path.name != "DICOMDIR")[
        3
    ]
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        for path in medium.rglob("*"):
            if path.is_file() and path != gone:
                archive.write(path, path.relative_to(tmp_path))
    found = index([tmp_path / "cd.zip"])
    assert found.counts() == {"files": 31, "instances": 30, "skipped": 0, "broken": 1}
    (broken,) = found.broken
    assert broken.source == f"{tmp_path}/cd.zip!cd/DICOMDIR"
    assert str(gone.relative_to(tmp_path)) in broken.error.message


@pytest.mark.parametrize(
    "parts",
    [b"..\\77654033\\CR1\\6154", b"77654033\\..\\..\\CR1", b"/etc\\passwd", b"C:\\77654033\\CR1"],
)
def test_a_dicomdir_that_points_outside_its_folder_is_refused(medium: Path, parts: bytes) -> None:
    content = (medium / "DICOMDIR").read_bytes()
    old = b"77654033\\CR1\\6154"
    new = parts.ljust(len(old))[: len(old)]
    assert old in content
    (medium / "DICOMDIR").write_bytes(content.replace(old, new))
    refused = [
        broken
        for broken in index([medium / "DICOMDIR"]).broken
        if "outside" in broken.error.message
    ]
    assert len(refused) == 1 and isinstance(refused[0].error, HeaderError)


def test_a_dicomdir_does_not_lead_through_a_linked_folder(medium: Path, tmp_path: Path) -> None:
    (medium / "77654033").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", medium / "77654033")
    found = index([medium])
    assert all(
        "elsewhere" not in instance.source and "77654033" not in instance.source
        for instance in found.instances
    )
    assert any("outside" in broken.error.message for broken in found.broken)


def test_a_dicomdir_cut_anywhere_is_refused_or_whole(medium: Path) -> None:
    content = (MEDIUM / "DICOMDIR").read_bytes()
    for end in range(400, len(content), 397):
        (medium / "DICOMDIR").write_bytes(content[:end])
        found = index([medium])
        assert found.counts()["instances"] == 31 and [
            type(broken.error) for broken in found.broken
        ] == [HeaderError]


def manifest(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_manifest_names_files_relative_to_itself_and_their_study(tmp_path: Path) -> None:
    for number, name in enumerate(("a.dcm", "b", "deep/er/c.dcm"), 1):
        write(tmp_path / "files" / name, number=number, StudyInstanceUID=f"1.2.{number}")
    listed = manifest(
        tmp_path, "Path;Study;label\nfiles/a.dcm;visit-1;x\nfiles/b;visit-1;y\nfiles/deep;;z\n\n"
    )
    found = index([listed])
    assert [(study.uid, len(study.instances)) for study in found.studies] == [
        ("1.2.3", 1),
        ("visit-1", 2),
    ]
    assert {instance.study_uid for instance in found.instances} == {"1.2.1", "1.2.2", "1.2.3"}
    assert index([listed, tmp_path / "files"]).counts() == found.counts()


def test_rows_that_cannot_be_used_are_broken_and_name_their_row(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    rows = [
        "path,study",
        "a.dcm,one",
        "gone.dcm,one",
        ",one",
        "a.dcm,../two",
        "a.dcm,one,more",
        "a.dcm,two",
        "a.dcm,one",
        "list.csv,",
    ]
    found = index([manifest(tmp_path, "\n".join(rows))])
    assert found.counts() == {"files": 7, "instances": 1, "skipped": 0, "broken": 6}
    said = {
        Path(broken.source).name: (type(broken.error), broken.error.message)
        for broken in found.broken
    }
    assert said["gone.dcm"][0] is MissingDataError and "row 3" in said["gone.dcm"][1]
    assert {f"list.csv: row {number}" for number in (4, 5, 6)} < set(said)
    assert any(
        "row 7" in broken.source and "another study" in broken.error.message
        for broken in found.broken
    )
    assert said["list.csv"][0] is NotDicomError


@pytest.mark.parametrize(
    "content", [b"", b"file\na.dcm\n", b"path,path\na,b\n", b"\xff\xfe\x00path", b'path\n"open\n']
)
def test_a_list_that_is_none_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    (broken,) = index([tmp_path / "list.csv"]).broken
    assert isinstance(broken.error, DataError) and broken.source == str(tmp_path / "list.csv")


def test_what_holds_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    zipfile.ZipFile(tmp_path / "none.zip", "w").close()
    found = index([tmp_path / "folder", tmp_path / "none.zip", manifest(tmp_path, "path\n")])
    assert Counter(skipped.code for skipped in found.skipped) == {
        "empty-folder": 1,
        "empty-archive": 1,
        "empty-list": 1,
    }


def test_a_csv_within_a_folder_is_a_file_like_any_other(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    manifest(tmp_path, "path\na.dcm\n")
    assert index([tmp_path]).counts() == {"files": 2, "instances": 1, "skipped": 1, "broken": 0}


CONTENTS = st.sampled_from(
    ["image", "twin", "report", "text", "empty", "zip", "dicomdir", "nifti", "cut"]
)
NAMES = st.from_regex(r"[ab]{1,2}(\.dcm|\.zip|\.csv|\.nii|)", fullmatch=True) | st.just("DICOMDIR")


@settings(deadline=None, max_examples=60)
@given(
    tree=st.dictionaries(
        st.tuples(st.sampled_from(["", "x/", "x/y/"]), NAMES), CONTENTS, max_size=8
    ),
    listed=st.booleans(),
    data=st.data(),
)
def test_every_file_of_any_folder_is_accounted_for_once(
    tmp_path_factory, tree: dict, listed: bool, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("tree")
    folder = root / "in"
    folder.mkdir()
    for number, ((below, name), kind) in enumerate(tree.items(), 1):
        path = folder / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(kind, number, root))
    kinds = {folder / below / name: kind for (below, name), kind in tree.items()}
    expected = [
        f"{path}!a/b" if kind == "zip" and (listed or path.suffix == ".zip") else str(path)
        for path, kind in kinds.items()
    ]
    inputs = [folder]
    if listed:
        inputs += [
            manifest(
                root,
                "path\n"
                + "".join(f"{path}\n" for path in data.draw(st.permutations(sorted(kinds)))),
            )
        ]
    found = sources(index(inputs))
    assert len(found) == len(set(found))
    assert sorted(found) == sorted(expected or [str(path) for path in inputs])


def _content(kind: str, number: int, root: Path) -> bytes:
    if kind in ("image", "twin", "cut"):
        content = write(root / "made", number=1 if kind == "twin" else number).read_bytes()
        return content[:700] if kind == "cut" else content
    if kind == "zip":
        with zipfile.ZipFile(root / "made.zip", "w") as archive:
            archive.writestr("a/b", b"text")
        return (root / "made.zip").read_bytes()
    files = {"report": "test-SR.dcm", "dicomdir": "dicomdirtests/DICOMDIR"}
    return (
        (PYDICOM_FILES / files[kind]).read_bytes()
        if kind in files
        else {"text": b"hello", "empty": b"", "nifti": bytes(348) + b"n+1\0"}[kind]
    )
