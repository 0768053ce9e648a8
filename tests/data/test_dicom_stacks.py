"""Volumes are split, joined, or refused by name: frames of reference, concatenations, stacks,
mosaics."""

from pathlib import Path

import numpy as np
import pydicom
from dicom_samples import write
from pydicom.dataset import Dataset

from medinv.config import Rules, Selection
from medinv.data.dicom.grouping import group
from medinv.data.dicom.index import index
from medinv.data.dicom.rules import choose
from medinv.data.dicom.volume import read_stack, stack

AXIAL, CORONAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
VOLUME = Rules(selection=Selection(takes="volume"))
CT = {
    "Modality": "CT",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
    "PixelSpacing": [1, 1],
    "SliceThickness": 2,
}


def slices(folder: Path, count: int, first: int = 1, **elements: object) -> None:
    pixels = np.zeros((4, 5), np.uint16)
    for number in range(first, first + count):
        place = {"ImagePositionPatient": [0, 0, 2 * number], "ImageOrientationPatient": AXIAL}
        write(folder / f"{number}.dcm", pixels + number, number=number, **(CT | place | elements))


def codes(folder: Path) -> list[str]:
    (study,) = index([folder]).studies
    return sorted({skipped.code for skipped in choose(study, VOLUME).study.skipped})


def test_two_frames_of_reference_are_two_volumes(tmp_path: Path) -> None:
    slices(tmp_path, 3, FrameOfReferenceUID="1.2.7")
    slices(tmp_path, 3, first=4, FrameOfReferenceUID="1.2.8")
    instances = list(index([tmp_path]).instances)
    assert [len(found.instances) for found in group(instances)] == [3, 3]
    assert codes(tmp_path) == ["ambiguous"]
    assert [finding.code for finding in stack(instances).refused] == ["mixed-frame-of-reference"]


def test_radiographs_are_not_divided_by_frames_of_reference(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"{number}.dcm", number=number, FrameOfReferenceUID=f"1.2.{number}")
    assert len(group(index([tmp_path]).instances)) == 1


def enhanced(path: Path, places: list[dict], number: int = 1, **elements: object) -> Path:
    """An Enhanced CT; `places` by frame: depth, orientation, stack."""
    path = write(path, np.zeros((4, 5), np.uint16), number=number, **(CT | elements))
    ds = pydicom.dcmread(path)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    ds.NumberOfFrames = len(places)
    frames = [np.full((4, 5), place["value"], np.uint16) for place in places]
    ds.PixelData = b"".join(frame.tobytes() for frame in frames)
    groups = []
    for place in places:
        position, orientation, measures, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, place["depth"]]
        orientation.ImageOrientationPatient = place.get("orientation", AXIAL)
        measures.PixelSpacing, measures.SliceThickness = [1, 1], 2
        content.StackID = place.get("stack", "1")
        item = Dataset()
        item.PlanePositionSequence, item.PlaneOrientationSequence = [position], [orientation]
        item.PixelMeasuresSequence, item.FrameContentSequence = [measures], [content]
        groups.append(item)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.save_as(path)
    return path


def row(first: int, count: int, **place: object) -> list[dict]:
    return [{"value": k, "depth": 2 * k, **place} for k in range(first, first + count)]


def test_one_stack_is_a_volume(tmp_path: Path) -> None:
    enhanced(tmp_path / "a.dcm", row(0, 4))
    assert codes(tmp_path) == []
    values = read_stack(stack(list(index([tmp_path]).instances)))
    assert values[0, 0].tolist() == [0, 1, 2, 3]


def test_several_stacks_in_one_object_are_refused_by_name(tmp_path: Path) -> None:
    enhanced(tmp_path / "named" / "a.dcm", row(0, 3) + row(20, 3, stack="2"))
    assert codes(tmp_path / "named") == ["several-stacks"]
    (finding,) = stack(list(index([tmp_path / "named"]).instances)).refused
    assert finding.code == "several-stacks"
    enhanced(tmp_path / "facing" / "a.dcm", row(0, 3) + row(3, 3, orientation=CORONAL))
    assert codes(tmp_path / "facing") == ["several-stacks"]


def parts(folder: Path, numbers: list[int]) -> None:
    for number in numbers:
        joined = {
            "ConcatenationUID": "1.2.77",
            "InConcatenationNumber": number,
            "InConcatenationTotalNumber": 3,
        }
        enhanced(folder / f"{number}.dcm", row(2 * number, 2), number=number, **joined)


def test_parts_of_a_concatenation_are_one_volume(tmp_path: Path) -> None:
    parts(tmp_path, [3, 1, 2])
    (found,) = group(index([tmp_path]).instances)
    assert found.slices == 6 and codes(tmp_path) == []
    assert read_stack(stack(found.instances))[0, 0].tolist() == [2, 3, 4, 5, 6, 7]


def test_a_concatenation_that_lacks_a_part_is_refused_by_name(tmp_path: Path) -> None:
    parts(tmp_path, [1, 3])
    assert codes(tmp_path) == ["concatenation"]
    (study,) = index([tmp_path]).studies
    assert "2 of 3 parts" in choose(study, VOLUME).study.skipped[0].message


def test_a_mosaic_is_no_slice_and_says_so(tmp_path: Path) -> None:
    slices(tmp_path, 2, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], Modality="MR")
    found = index([tmp_path])
    assert [skipped.code for skipped in found.skipped] == ["mosaic"] * 2
    assert "export" in next(found.skipped).message
