"""Slices become a volume only where one affine holds for all of them; what stands against it is
named."""

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import PYDICOM_FILES, write

from medinv.data.dicom.index import index
from medinv.data.dicom.records import Instance
from medinv.data.dicom.volume import Stack, read_stack, stack
from medinv.errors import DataError

OBLIQUE = [0.8, 0.6, 0, 0, 0, -1]  # rows run down the body, columns askew: a coronal oblique view
NORMAL = np.cross(OBLIQUE[:3], OBLIQUE[3:])


def series(
    folder: Path, positions: Sequence[Sequence[float]], **elements: object
) -> list[Instance]:
    """Slices at these positions, each of the constant value of its place in the list, in files
    of random order."""
    order = list(range(len(positions)))
    random.Random(0).shuffle(order)
    common = {
        "ImageOrientationPatient": OBLIQUE,
        "PixelSpacing": [0.5, 0.25],
        "SliceThickness": 3,
    } | elements
    for name, k in enumerate(order):
        write(
            folder / f"{name}",
            np.full((6, 8), k, np.uint16),
            number=99 - name,
            ImagePositionPatient=[round(float(v), 6) for v in positions[k]],
            **common,
        )
    return list(index([folder]).instances)


def even(count: int, step: Sequence[float] = 3 * NORMAL) -> list[np.ndarray]:
    return [np.array([10, 20, 30]) + k * np.array(step) for k in range(count)]


def codes(found: Stack) -> list[str]:
    return [finding.code for finding in found.findings]


def test_slices_are_ordered_along_the_normal_and_the_affine_holds_for_each(tmp_path: Path) -> None:
    found = stack(series(tmp_path, even(7)))
    assert codes(found) == [] and found.error < 1e-5
    assert np.array_equal(read_stack(found)[0, 0], np.arange(7))
    for k, one in enumerate(found.slices):
        corner = (
            np.array(one.geometry.position)
            + 5 * 0.5 * np.array(OBLIQUE[3:])
            + 7 * 0.25 * np.array(OBLIQUE[:3])
        )
        assert np.allclose(found.affine @ [5, 7, k, 1], [*(corner * [-1, -1, 1]), 1], atol=1e-5)


def test_tilt_shears_the_affine(tmp_path: Path) -> None:
    found = stack(series(tmp_path, even(5, 3 * NORMAL + 1.5 * np.array(OBLIQUE[3:]))))
    assert (
        codes(found) == ["tilt"]
        and "26.6 degrees" in found.findings[0].message
        and found.refused == ()
    )
    last = np.array(found.slices[-1].geometry.position) * [-1, -1, 1]
    assert np.allclose((found.affine @ [0, 0, 4, 1])[:3], last, atol=1e-5)


@pytest.mark.parametrize(
    ("places", "code", "kept"),
    [
        ([0, 1, 2, 5, 6, 7, 8], "missing-slices", [3, 4, 5, 6]),
        ([0, 1, 2, 3.5, 5], "mixed-spacing", [0, 1, 2]),
        ([0, 1, 1, 2, 3], "duplicate-positions", [0, 1, 3, 4]),
        ([0, 0], "duplicate-positions", [0]),
    ],
)
def test_uneven_slices_are_refused_or_answered_by_the_longest_run(
    tmp_path: Path, places: list[float], code: str, kept: list[int]
) -> None:
    instances = series(tmp_path, [3 * k * NORMAL for k in places])
    refused = stack(instances)
    assert codes(refused) == [code] and refused.affine is None
    with pytest.raises(DataError, match=code):
        read_stack(refused)
    handled = stack(instances, "longest-run")
    assert codes(handled) == [code] and handled.findings[0].handled
    values = read_stack(handled)[0, 0]
    assert len(values) == len(kept)
    if code != "duplicate-positions":
        assert values.tolist() == kept


def test_how_many_slices_are_missing_is_said(tmp_path: Path) -> None:
    (finding,) = stack(series(tmp_path, [3 * k * NORMAL for k in (0, 1, 2, 5, 6)])).findings
    assert finding.message == "2 slices are missing at a spacing of 3 mm"


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "mixed-orientation"),
        ({"PixelSpacing": [0.5, 0.5]}, "mixed-pixel-spacing"),
        ({"ImagePositionPatient": None}, "unplaced"),
        ({"PixelSpacing": None}, "unplaced"),
    ],
)
def test_slices_that_no_volume_can_hold_are_refused_whatever_the_rule(
    tmp_path: Path, elements: dict, code: str
) -> None:
    series(tmp_path, even(4))
    other = {
        "ImageOrientationPatient": OBLIQUE,
        "PixelSpacing": [0.5, 0.25],
        "ImagePositionPatient": [0, 0, 99],
    } | elements
    write(
        tmp_path / "other",
        np.zeros((6, 8), np.uint16),
        number=1000,
        **{key: value for key, value in other.items() if value is not None},
    )
    found = stack(list(index([tmp_path]).instances), "longest-run")
    assert code in codes(found) and found.affine is None


def test_slices_that_wander_are_refused(tmp_path: Path) -> None:
    places = even(6)
    places[3] = places[3] + 0.8 * np.array(OBLIQUE[:3])
    found = stack(series(tmp_path, places), "longest-run")
    assert "wandering" in codes(found) and found.affine is None and 0.3 < found.error < 0.8


def test_frames_of_one_image_make_a_volume() -> None:
    instances = list(index([PYDICOM_FILES / "rtdose.dcm"]).instances)
    found, header = stack(instances), pydicom.dcmread(PYDICOM_FILES / "rtdose.dcm")
    assert codes(found) == [] and np.array_equal(
        read_stack(found), np.moveaxis(header.pixel_array, 0, 2).astype(np.float32)
    )
    z = header.ImagePositionPatient[2] + header.GridFrameOffsetVector[-1]
    assert np.allclose((found.affine @ [0, 0, 14, 1])[2], z)
    cine = stack(list(index([PYDICOM_FILES / "examples_ybr_color.dcm"]).instances))
    assert codes(cine) == ["unplaced"]


def test_a_real_head_scan_is_tilted_and_unevenly_spaced(data_dir: Path) -> None:
    path = data_dir / "dicom" / "ct_ge_head28.zip"
    instances = list(index([path]).instances)
    assert codes(stack(instances)) == ["mixed-spacing"]
    found = stack(instances, "longest-run")
    assert (
        codes(found) == ["mixed-spacing", "tilt"] and len(found.slices) == 14 and found.error < 1e-3
    )
    with zipfile.ZipFile(path) as archive:
        header = pydicom.dcmread(
            archive.open(found.slices[0].instance.location.member), stop_before_pixels=True
        )
    assert f"{abs(header.GantryDetectorTilt):.1f} degrees" in found.findings[1].message
    assert read_stack(found).shape == (512, 512, 14)
