"""What the header says of showing an image: tables by sign and width, shutters of every shape."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import table, write
from pydicom.dataset import Dataset

from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_pixels

RAMP = np.linspace(0, 4095, 64 * 48).astype(np.uint16).reshape(64, 48)
STORED = {"BitsStored": 12, "HighBit": 11}


def read(path: Path, pixels: np.ndarray = RAMP, **elements: object) -> Pixels:
    return read_pixels(next(index([write(path, pixels, **(STORED | elements))]).instances))


def identity(first: int, bits: int = 12) -> list[Dataset]:
    return table(list(range(4096)), first, bits)


@pytest.mark.parametrize("part", [slice(None), slice(32, None)])
def test_the_sign_of_a_table_is_what_the_rescale_can_give(tmp_path: Path, part: slice) -> None:
    """One decision a series: an image whose own values are all positive is shown like its
    neighbours."""
    hounsfield = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    got = read(tmp_path / "a.dcm", RAMP[part].copy(), VOILUTSequence=identity(64512), **hounsfield)
    assert np.array_equal(got.display, np.rint(RAMP[part] * (255 / 4095)).astype(np.uint8))
    assert "VOI LUT" in got.policy and not got.warnings


def test_a_table_of_unsigned_values_begins_where_it_says(tmp_path: Path) -> None:
    pixels = np.arange(60_000, 60_000 + 64, dtype=np.uint16).reshape(8, 8)
    entries = list(range(0, 4096, 64))
    got = read(
        tmp_path / "a.dcm",
        pixels,
        BitsStored=16,
        HighBit=15,
        VOILUTSequence=table(entries, 60_000, 12),
    )
    assert got.display.ravel().tolist() == np.rint(np.array(entries) * (255 / 4095)).tolist()


@pytest.mark.parametrize("declared", [8, 10, 16])
def test_a_table_is_shown_by_the_bits_that_it_fills(tmp_path: Path, declared: int) -> None:
    got = read(tmp_path / "a.dcm", VOILUTSequence=identity(0, declared))
    assert np.array_equal(got.display, np.rint(RAMP * (255 / 4095)).astype(np.uint8))
    assert f"says {declared} bits and its entries fill 12" in got.warnings[0]


def test_a_table_that_contradicts_itself_is_left_aside_and_said(tmp_path: Path) -> None:
    (item,) = table([1, 2, 3], 0, 12)
    item["LUTDescriptor"].value = [4096, 0, 12]
    got = read(tmp_path / "a.dcm", VOILUTSequence=[item])
    assert "full range" in got.policy and any("VOI LUT" in warning for warning in got.warnings)


SHUTTERS = {
    "RECTANGULAR": {
        "ShutterLeftVerticalEdge": 11, "ShutterRightVerticalEdge": 40,
        "ShutterUpperHorizontalEdge": 6, "ShutterLowerHorizontalEdge": 60,
    },
    "CIRCULAR": {"CenterOfCircularShutter": [30, 20], "RadiusOfCircularShutter": 15},
    "POLYGONAL": {"VerticesOfThePolygonalShutter": [10, 10, 10, 40, 50, 40, 50, 10]},
}  # fmt: skip


def opening(shape: str) -> np.ndarray:
    """Rows and columns count from 1; what lies on an edge is shown."""
    row, column = np.mgrid[1:65, 1:49]
    if shape == "RECTANGULAR":
        return (column >= 11) & (column <= 40) & (row >= 6) & (row <= 60)
    if shape == "CIRCULAR":
        return (row - 30) ** 2 + (column - 20) ** 2 <= 15**2
    return (row >= 10) & (row <= 50) & (column >= 10) & (column <= 40)


@pytest.mark.parametrize("shapes", [["RECTANGULAR"], ["CIRCULAR"], ["POLYGONAL"], list(SHUTTERS)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_shutters_cover_is_blanked_and_said(
    tmp_path: Path, shapes: list[str], photometric: str
) -> None:
    elements = {"ShutterShape": shapes, "PhotometricInterpretation": photometric}
    for shape in shapes:
        elements |= SHUTTERS[shape]
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = read(tmp_path / "plain.dcm", PhotometricInterpretation=photometric, **window)
    got = read(tmp_path / "a.dcm", **elements, **window)
    shown = np.logical_and.reduce([opening(shape) for shape in shapes])
    assert (got.display[~shown] == 0).all() and np.array_equal(
        got.display[shown], plain.display[shown]
    )
    assert np.array_equal(got.modality, plain.modality)
    (warning,) = got.warnings
    assert all(shape.lower() in warning for shape in shapes) and warning in got.policy


def test_a_triangle_is_covered_outside_its_sides(tmp_path: Path) -> None:
    got = read(
        tmp_path / "a.dcm",
        RAMP + 1000,
        BitsStored=16,
        HighBit=15,
        WindowCenter=0,
        WindowWidth=2,
        ShutterShape="POLYGONAL",
        VerticesOfThePolygonalShutter=[1, 1, 64, 1, 1, 48],
    )
    row, column = np.mgrid[:64, :48]
    assert np.array_equal(got.display > 0, row / 63 + column / 47 <= 1 + 1e-12)


@pytest.mark.parametrize(
    "elements",
    [
        {"ShutterShape": "BITMAP"},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 10},
        {"ShutterShape": "RECTANGULAR", **SHUTTERS["RECTANGULAR"], "ShutterRightVerticalEdge": 5},
        {
            "ShutterShape": "CIRCULAR",
            "CenterOfCircularShutter": [500, 500],
            "RadiusOfCircularShutter": 3,
        },
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 5]},
    ],
)
def test_an_impossible_shutter_is_left_aside_and_said(tmp_path: Path, elements: dict) -> None:
    got = read(tmp_path / "a.dcm", **elements)
    assert np.array_equal(got.display, read(tmp_path / "plain.dcm").display)
    assert ["left aside" in warning for warning in got.warnings] == [True]


def test_a_shutter_lies_on_the_stored_pixels_and_turns_with_them(tmp_path: Path) -> None:
    elements = {
        "ShutterShape": "RECTANGULAR",
        **SHUTTERS["RECTANGULAR"],
        "PatientOrientation": ["R", "H"],
    }
    got = read(
        tmp_path / "a.dcm",
        RAMP + 1,
        BitsStored=16,
        HighBit=15,
        WindowCenter=0,
        WindowWidth=2,
        **elements,
    )
    assert np.array_equal(got.display > 0, opening("RECTANGULAR")[::-1, ::-1])


def test_a_frame_has_its_own_shutter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.full((8, 8), 200, np.uint8), WindowCenter=0, WindowWidth=2)
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames, ds.PixelData = 2, bytes([200]) * 128
    groups = []
    for edge in (3, 6):
        shutter, group = Dataset(), Dataset()
        shutter.ShutterShape, shutter.ShutterLeftVerticalEdge = "RECTANGULAR", edge
        shutter.ShutterRightVerticalEdge, shutter.ShutterUpperHorizontalEdge = 8, 1
        shutter.ShutterLowerHorizontalEdge = 8
        group.FrameDisplayShutterSequence = [shutter]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.save_as(path)
    instance = next(index([path]).instances)
    assert [int((read_pixels(instance, k).display > 0).sum()) for k in (0, 1)] == [48, 24]
