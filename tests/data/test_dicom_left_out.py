"""What of a study a model is not shown is counted and told, whatever it is left out for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import write
from PIL import Image

from medinv.config import Rules, Selection
from medinv.data.decoded import decoded_frames
from medinv.data.dicom.index import index
from medinv.data.dicom.rules import Choice, choose

AXIAL, CORONAL = ["1", "0", "0", "0", "1", "0"], ["1", "0", "0", "0", "0", "-1"]
CT = {
    "Modality": "CT",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
    "PixelSpacing": [1, 1],
    "FrameOfReferenceUID": "1.2.7",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
}


def slices(folder: Path, count: int, first: int = 1, rows: int = 4, **elements: object) -> None:
    pixels = np.zeros((rows, 5), np.uint16)
    for number in range(first, first + count):
        place = {"ImagePositionPatient": [0, 0, 2 * number], "ImageOrientationPatient": AXIAL}
        write(folder / f"{number}.dcm", pixels + number, number=number, **(CT | place | elements))


def chosen(folder: Path, modalities: tuple[str, ...] = ("CT",), **rules: object) -> Choice:
    (study,) = index([folder]).studies
    rules = {"takes": "volume", "slices": (4, 9)} | rules
    return choose(study, Rules(modalities=modalities, selection=Selection(**rules)))


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"FrameOfReferenceUID": "1.2.8"}, "frame of reference: slices 3 images"),
        ({"ImageOrientationPatient": CORONAL}, "orientation: "),
        ({"PixelSpacing": [2, 2]}, "pixel spacing: slices 3 images"),
        ({"rows": 6}, "rows: slices 3 images"),
        ({"EchoTime": 30}, "echo time: slices 3 images"),
        ({"SeriesDescription": "thin"}, "series description: slices 3 images"),
        ({"BodyPartExamined": "CHEST"}, "body part: slices 3 images"),
        ({"ImagePositionPatient": ""}, "position: "),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "image type: "),
        ({"Modality": "MR"}, "modality: modality MR (this model reads CT)"),
        (
            {"PhotometricInterpretation": "MONOCHROME1"},
            "photometric interpretation: slices 3 images",
        ),
    ],
)
def test_a_part_of_the_series_that_is_read(tmp_path: Path, elements: dict, words: str) -> None:
    slices(tmp_path, 5)
    slices(tmp_path, 3, first=6, **elements)
    out = chosen(tmp_path)
    (said,) = [warning for warning in out.warnings if "left out" in warning]
    assert [instance.number for instance in out.study.instances] == [1, 2, 3, 4, 5]
    assert (
        f"3 of the 8 images of series 1 left out, which differ from those that are read in {words}"
        in said
    )
    assert len(out.study.skipped) == 3


def test_phases_that_overlap_are_told_apart_by_their_acquisition(tmp_path: Path) -> None:
    slices(tmp_path, 5, AcquisitionNumber=1)
    for number in (2, 3):
        place = {"ImagePositionPatient": [0, 0, 2 * number], "ImageOrientationPatient": AXIAL}
        name = tmp_path / f"late-{number}.dcm"
        elements = CT | place | {"AcquisitionNumber": 2}
        write(name, np.zeros((4, 5), np.uint16), number=10 + number, **elements)
    (said,) = [warning for warning in chosen(tmp_path).warnings if "left out" in warning]
    assert said.startswith("2 of the 7 images of series 1") and "in acquisition" in said


def test_other_series_are_counted_together_by_what_they_fail(tmp_path: Path) -> None:
    slices(tmp_path, 5)
    slices(tmp_path, 3, first=6, SeriesInstanceUID="1.2.1.2")
    slices(tmp_path, 3, first=9, SeriesInstanceUID="1.2.1.3")
    slices(tmp_path, 2, first=20, SeriesInstanceUID="1.2.1.4", Modality="MR")
    said = [warning for warning in chosen(tmp_path).warnings if "left out" in warning]
    assert said == [
        "6 images of 2 other series left out: slices 3 images (this model reads 4 to 9)",
        "2 images of another series left out: modality MR (this model reads CT)",
    ]


def test_copies_and_files_without_an_image(tmp_path: Path) -> None:
    slices(tmp_path, 5)
    for name in ("copy.dcm", "copy-2.dcm"):
        shutil.copy(tmp_path / "1.dcm", tmp_path / name)
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Modality": "DOC"}
    without = dict.fromkeys(("Rows", "Columns", "PixelData"))
    write(tmp_path / "report.dcm", number=90, **report, **without)
    said = chosen(tmp_path).warnings
    assert "2 files left out: the same content as another file" in said
    assert "1 file left out: Encapsulated PDF Storage: holds no image" in said


def test_films_of_other_views(tmp_path: Path) -> None:
    write(tmp_path / "front.dcm", number=1, ViewPosition="PA")
    write(tmp_path / "side.dcm", number=2, ViewPosition="LL")
    out = chosen(tmp_path, ("DX",), takes="images", views=("PA",), slices=None)
    (said,) = [warning for warning in out.warnings if "left out" in warning]
    assert said.startswith("1 of the 2 images of series 1 left out") and "view LL" in said


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 5)])
def test_pieces_none_of_which_is_read_are_told_apart(
    tmp_path: Path, first: int, second: int
) -> None:
    """Too few slices in each, or enough in both: the reason alone would hide that they are one
    series."""
    slices(tmp_path, first)
    slices(tmp_path, second, first=first + 1, FrameOfReferenceUID="1.2.8")
    out = chosen(tmp_path)
    assert not out.study.instances
    assert (
        f"series 1 stands in 2 parts ({first}, {second} images) that differ in frame of reference: "
        "each is judged as a series of its own"
    ) in out.warnings


def test_a_whole_series_says_nothing(tmp_path: Path) -> None:
    slices(tmp_path, 5)
    assert not [warning for warning in chosen(tmp_path).warnings if "left out" in warning]


def test_pictures_that_a_camera_keeps_beside_a_photograph(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    first, *others = (Image.new("L", (8, 8), 40 * k) for k in range(3))
    first.save(path, format="MPO", save_all=True, append_images=others)
    (instance,) = index([path]).instances
    (frame,) = decoded_frames(instance)
    assert "2 more pictures in the file" in frame.warnings[0]
