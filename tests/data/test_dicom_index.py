"""Every file handed in is accounted for once, whatever it is."""

import os
import random
import re
import socket
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import PYDICOM_FILES, dataset, write
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medinv.data.dicom.index import index, open_dataset
from medinv.data.dicom.pixels import read_pixels
from medinv.errors import (
    DataError,
    HeaderError,
    MedinvError,
    MissingDataError,
    NotDicomError,
    PixelDataError,
)

AXIAL = [1, 0, 0, 0, 1, 0]


def one(path: Path) -> object:
    """The only record of an index, or its error."""
    found = index([path])
    (record,) = [*found.instances, *found.skipped, *found.broken]
    return getattr(record, "error", record)


def test_every_file_that_pydicom_ships_is_counted_once() -> None:
    files = [path for path in PYDICOM_FILES.rglob("*") if path.is_file()]
    found = index([PYDICOM_FILES])
    sources = [
        record.source for kind in (found.instances, found.skipped, found.broken) for record in kind
    ]
    assert sorted(sources) == sorted(map(str, files))
    assert found.counts()["files"] == len(files)
    for instance in found.instances:
        try:
            pixels = read_pixels(instance)
        except MedinvError:
            continue
        assert pixels.display.shape == (instance.rows, instance.columns)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("test-SR.dcm", "structured-report"),
        ("rtstruct.dcm", "radiotherapy"),
    ],
)
def test_what_is_no_image_is_skipped_with_a_reason(name: str, code: str) -> None:
    assert one(PYDICOM_FILES / name).code == code


def test_header_of_a_real_image_is_read() -> None:
    instance = one(PYDICOM_FILES / "CT_small.dcm")
    assert (
        instance.modality,
        instance.rows,
        instance.columns,
        instance.bits_stored,
        instance.signed,
    ) == ("CT", 128, 128, 16, True)
    assert (
        instance.geometry.spacing == (0.661468, 0.661468)
        and instance.geometry.spacing_from == "PixelSpacing"
    )
    assert instance.transfer_syntax == "1.2.840.10008.1.2.1" and not instance.lossy


def test_float_pixels_are_skipped(tmp_path: Path) -> None:
    path = write(
        tmp_path / "f.dcm",
        PixelData=None,
        FloatPixelData=np.zeros(64 * 48, "f4").tobytes(),
        BitsAllocated=32,
    )
    assert one(path).code == "float-pixel-data"


def test_an_image_without_its_pixels_is_broken(tmp_path: Path) -> None:
    assert isinstance(one(write(tmp_path / "a.dcm", PixelData=None)), PixelDataError)


def test_files_that_are_not_dicom(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("hello, this is no image at all")
    (tmp_path / "folder" / "empty.dcm").touch()
    (tmp_path / "folder" / "fake.dcm").write_text("hello, this is no image at all" * 9)
    (tmp_path / "folder" / "._fake.dcm").write_bytes(b"\x00\x05\x16\x07" * 40)
    found = index([tmp_path])
    assert {Path(s.source).name: s.code for s in found.skipped} == {
        "notes.txt": "not-dicom",
        "._fake.dcm": "not-dicom",
    }
    assert {Path(b.source).name: type(b.error) for b in found.broken} == {
        "empty.dcm": NotDicomError,
        "fake.dcm": NotDicomError,
    }
    assert isinstance(one(tmp_path / "folder" / "notes.txt"), NotDicomError)  # the user named it


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_data_set_without_preamble_is_read_wherever_it_lies(tmp_path: Path, syntax: str) -> None:
    ds = dataset(np.arange(12, dtype=np.uint8).reshape(3, 4))
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    bare = tmp_path / "in" / "IM0000"
    bare.parent.mkdir()
    pydicom.dcmwrite(bare, ds, implicit_vr=implicit, little_endian=little, force_encoding=True)
    content = bare.read_bytes()
    start = content.find(b"\x08\x00\x16\x00" if little else b"\x00\x08\x00\x16")
    bare.write_bytes(content[start:])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(bare, "IM0000")
    for given in (bare, bare.parent, tmp_path / "a.zip"):
        instance = one(given)
        assert instance.sop_uid == "1.2.1.1.1"
        assert read_pixels(instance).stored.ravel().tolist() == list(range(12))


def test_text_that_begins_like_a_data_set_is_not_dicom(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x08\x00" + b"no data set" * 20)
    assert one(tmp_path).code == "not-dicom"


def test_missing_and_odd_inputs_stop_nothing(tmp_path: Path) -> None:
    write(tmp_path / "good.dcm")
    os.symlink(tmp_path, tmp_path / "circle")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        found = index([tmp_path, tmp_path / "absent.dcm"])
    assert [i.sop_uid for i in found.instances] == ["1.2.1.1.1"]
    assert sorted(s.code for s in found.skipped) == ["linked-folder", "not-a-file", "not-a-file"]
    assert {Path(b.source).name for b in found.broken if isinstance(b.error, MissingDataError)} == {
        "absent.dcm",
        "dangling",
    }
    assert found.counts() == {"files": 6, "instances": 1, "skipped": 3, "broken": 2}


def test_a_folder_that_cannot_be_listed_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "good.dcm")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir
    denied = PermissionError(13, "Permission denied")

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise denied
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = index([tmp_path])
    assert found.counts()["instances"] == 1
    assert "Permission denied" in next(found.broken).error.message


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    assert index([path, tmp_path, tmp_path / "." / "a.dcm"]).counts()["files"] == 1


def test_duplicates_are_skipped_and_the_first_is_kept(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write(tmp_path / name)
    found = index([tmp_path / "c", tmp_path / "b", tmp_path / "a"])
    assert [Path(i.source).name for i in found.instances] == ["a"]
    assert [(Path(s.source).name, s.code) for s in found.skipped] == [
        ("b", "duplicate"),
        ("c", "duplicate"),
    ]


def test_order_depends_on_the_files_alone(tmp_path: Path) -> None:
    numbers = list(range(1, 13))
    random.Random(0).shuffle(numbers)
    for place, number in enumerate(numbers):
        write(tmp_path / f"{place}", number=number)
    paths = list(tmp_path.iterdir())
    orders = [
        [i.sop_uid for i in index(order).instances] for order in (paths, paths[::-1], [tmp_path])
    ]
    assert orders[0] == orders[1] == orders[2] == [f"1.2.1.1.{n}" for n in range(1, 13)]


def test_slices_are_ordered_along_the_normal_not_by_number(tmp_path: Path) -> None:
    for number, depth in enumerate([30, -10, 20, 5], 1):
        write(
            tmp_path / str(number),
            number=number,
            ImagePositionPatient=[0, 0, depth],
            ImageOrientationPatient=AXIAL,
        )
    assert [i.geometry.position[2] for i in index([tmp_path]).instances] == [-10, 5, 20, 30]


def test_studies_and_files_without_a_study(tmp_path: Path) -> None:
    write(tmp_path / "a", number=1, StudyInstanceUID="1.2.9")
    write(tmp_path / "b", number=2)
    write(tmp_path / "c", number=3, StudyInstanceUID=None)
    write(tmp_path / "d", number=4, StudyInstanceUID=None)
    (tmp_path / "e.txt").touch()
    assert [(s.uid, len(s.instances)) for s in index([tmp_path]).studies] == [
        ("1.2.1", 1),
        ("1.2.9", 1),
        (None, 1),
        (None, 1),
        (None, 0),
    ]


@pytest.mark.parametrize("uid", ["../../etc", "1.2\\3.4", "x" * 65, "a/b", ".."])
def test_an_odd_uid_is_known_by_one_that_could_name_a_file(tmp_path: Path, uid: str) -> None:
    """The image is not lost for it, and tells itself apart from others."""
    for number, keyword in enumerate(("StudyInstanceUID", "SOPInstanceUID")):
        ds = dataset(np.zeros((4, 4), np.uint8))
        ds.add_new(keyword, "LO", uid)
        ds[keyword].VR = "UI"
        ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        ds.save_as(tmp_path / f"{number}.dcm", enforce_file_format=keyword == "StudyInstanceUID")
        instance = one(tmp_path / f"{number}.dcm")
        known = instance.study_uid if number == 0 else instance.sop_uid
        assert re.fullmatch(r"2\.25\.[0-9]{1,39}", known)
        assert any(
            "no valid UID" in warning and uid not in warning for warning in instance.warnings
        )
        assert read_pixels(instance).stored.shape == (4, 4)


def test_a_uid_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.1\0", b"1.\xff.1\0"))
    assert isinstance(one(path), HeaderError)


def test_unusable_elements_are_left_aside_with_a_warning_that_quotes_nothing(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.dcm", PixelSpacing=[0.5, 0.5], InstanceNumber=7)
    path.write_bytes(path.read_bytes().replace(b"0.5\\0.5 ", b"0.5\\Doe "))
    instance = one(path)
    assert instance.geometry.spacing is None and instance.geometry.aspect == 1.0
    assert any("PixelSpacing" in warning for warning in instance.warnings) and "Doe" not in str(
        instance.warnings
    )


@pytest.mark.parametrize(
    "keyword", ["Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"]
)
def test_an_image_that_does_not_say_what_it_is_is_broken(tmp_path: Path, keyword: str) -> None:
    error = one(write(tmp_path / "a.dcm", **{keyword: None}))
    assert isinstance(error, HeaderError) and keyword in error.message


def test_no_patient_identifier_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "good.dcm")
    write(tmp_path / "bad.dcm", number=2, Rows=0)
    text = repr(index([tmp_path]))
    assert "SECRET" not in text and "Secret" not in text and "19700101" not in text


def test_damaged_values_are_not_quoted_in_warnings(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = write(tmp_path / "a.dcm")
    content = path.read_bytes()
    syntax = content.index(b"\x02\x00\x10\x00UI")
    length = (
        content.index(b"Secret") + 6 - (syntax + 8)
    )  # the transfer syntax now runs into the patient's name
    path.write_bytes(content[: syntax + 6] + length.to_bytes(2, "little") + content[syntax + 8 :])
    found = index([path])
    assert "Secret" not in " ".join([repr(found), *(str(warning.message) for warning in recwarn)])


def test_a_file_replaced_or_removed_after_indexing_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    instance = one(path)
    assert open_dataset(instance).SOPInstanceUID == instance.sop_uid
    write(path, number=2)
    with pytest.raises(DataError, match="index it again"):
        open_dataset(instance)
    path.unlink()
    with pytest.raises(MissingDataError):
        read_pixels(instance)


def test_odd_file_names_are_printable_in_the_source(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    odd = os.path.join(os.fsencode(tmp_path), b"n\xffew\nline\x1b[31m.dcm")
    os.rename(path, odd)
    instance = next(index([tmp_path]).instances)
    assert instance.source.isprintable() and instance.source.encode("utf-8")
    assert read_pixels(instance).display.any()
