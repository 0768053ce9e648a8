"""Frontal projections are shown as they are read, whatever way they are stored; what is found
maps back to the file."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import write

from medinv.config import Rules, Selection
from medinv.data.dicom.geometry import affine
from medinv.data.dicom.index import index
from medinv.data.dicom.orientation import Turn, hanging
from medinv.data.dicom.pixels import Pixels, read_pixels
from medinv.data.dicom.records import Instance
from medinv.data.dicom.rules import choose

UPRIGHT = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10
TURNS = [Turn(*flags) for flags in product((False, True), repeat=3)]


def one(path: Path) -> Instance:
    return next(index([path]).instances)


def read(path: Path, pixels: np.ndarray, **elements: object) -> Pixels:
    elements = {"WindowCenter": 128, "WindowWidth": 256, "VOILUTFunction": "LINEAR"} | elements
    return read_pixels(one(write(path, pixels, **elements)))


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_every_turn_can_be_undone(turn: Turn) -> None:
    shown = turn.apply(UPRIGHT)
    assert np.array_equal(turn.undo(shown), UPRIGHT)
    colour = np.stack([UPRIGHT] * 3, axis=2)
    assert np.array_equal(turn.undo(turn.apply(colour)), colour)
    points = np.argwhere(np.ones(shown.shape))
    stored = turn.points_undo(points, shown.shape).astype(int)
    assert np.array_equal(UPRIGHT[stored[:, 0], stored[:, 1]], shown[points[:, 0], points[:, 1]])


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turned_image_lies_where_the_stored_one_lay(tmp_path: Path, turn: Turn) -> None:
    elements = {"PixelSpacing": [0.5, 0.25], "ImagePositionPatient": [1, 2, 3]}
    stored = one(
        write(tmp_path / "a.dcm", UPRIGHT, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], **elements)
    ).geometry
    shown = turn.geometry(stored, *UPRIGHT.shape)
    for row, column in np.argwhere(np.ones(turn.apply(UPRIGHT).shape)):
        ((y, x),) = turn.points_undo(np.array([[row, column]]), turn.apply(UPRIGHT).shape)
        there = affine(shown) @ [row, column, 0, 1]
        assert np.allclose(there, affine(stored) @ [y, x, 0, 1])


@pytest.mark.parametrize(
    "letters", [a + b for a in "LR" for b in "HF"] + [b + a for a in "LR" for b in "HF"]
)
def test_frontal_films_are_turned_to_read(tmp_path: Path, letters: str) -> None:
    """The film is laid as the letters say, by the definition of the letters, and comes back
    upright."""
    picture = UPRIGHT
    if letters[0] in "HF":
        picture = picture.T
    picture = picture[::-1] if letters[1] in "HR" else picture
    picture = picture[:, ::-1] if letters[0] in "HR" else picture
    pixels = read(
        tmp_path / "a.dcm", np.ascontiguousarray(picture), PatientOrientation=list(letters)
    )
    assert np.array_equal(pixels.display, UPRIGHT) and pixels.orientation == ("L", "F")
    assert np.array_equal(pixels.turn.undo(pixels.display), picture)
    assert np.array_equal(pixels.stored, picture)
    if letters == "LF":
        assert not pixels.turn and not pixels.warnings
    else:
        (warning,) = pixels.warnings
        assert f"{letters[0]}\\{letters[1]}" in warning and str(pixels.turn) in pixels.policy
        assert ("mirrored" in warning) == pixels.turn.mirrors and "marks" in warning


def test_spacing_and_aspect_are_those_of_the_display(tmp_path: Path) -> None:
    elements = {"PatientOrientation": ["F", "L"], "ImagerPixelSpacing": [0.2, 0.1]}
    pixels = read(tmp_path / "a.dcm", UPRIGHT, **elements)
    assert pixels.display.shape == (4, 6)
    assert pixels.spacing == (0.1, 0.2) and pixels.aspect == 0.5


def test_cosines_stand_in_for_absent_letters(tmp_path: Path) -> None:
    upside_down = {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}
    pixels = read(tmp_path / "a.dcm", UPRIGHT[::-1].copy(), **upside_down)
    assert np.array_equal(pixels.display, UPRIGHT)
    both = upside_down | {"PatientOrientation": ["L", "F"]}
    pixels = read(tmp_path / "b.dcm", UPRIGHT, **both)
    assert np.array_equal(pixels.display, UPRIGHT) and not pixels.orientation
    assert "contradict" in pixels.warnings[0]


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({}, "orientation not stated: shown as stored"),
        ({"PatientOrientation": ["X", "F"]}, "cannot be understood"),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
        ({"PatientOrientation": ["L", "P"]}, "transverse"),
    ],
)
def test_what_is_not_turned_is_said(tmp_path: Path, elements: dict, says: str) -> None:
    pixels = read(tmp_path / "a.dcm", UPRIGHT, **elements)
    assert not pixels.turn and says in pixels.policy


@pytest.mark.parametrize("modality", ["CT", "MR", "MG", "US"])
def test_other_images_are_not_turned(tmp_path: Path, modality: str) -> None:
    other = {"Modality": modality, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}
    path = write(tmp_path / "a.dcm", UPRIGHT, PatientOrientation=["L", "H"], **other)
    assert not hanging(one(path)).turn


FRONTAL = Rules(modalities=("DX",), selection=Selection(views=("AP", "PA")))


@pytest.mark.parametrize("letters", ["AF", "PF", "FA", "HP", "LP"])
@pytest.mark.parametrize("view", [None, "PA"])
def test_lateral_by_header_is_not_frontal(tmp_path: Path, letters: str, view: str | None) -> None:
    stated = {"ViewPosition": view} if view else {}
    write(tmp_path / "a.dcm", PatientOrientation=list(letters), **stated)
    choice = choose(index([tmp_path]).studies[0], FRONTAL)
    (skipped,) = choice.study.skipped
    assert skipped.code == "view" and "PatientOrientation" in skipped.message
    takes_all = choose(index([tmp_path]).studies[0], Rules())
    assert len(takes_all.study.instances) == 1


def test_an_absent_orientation_is_said_where_frontal_films_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", ViewPosition="PA")
    choice = choose(index([tmp_path]).studies[0], FRONTAL)
    assert len(choice.study.instances) == 1
    assert "orientation not stated: taken as eligible" in choice.warnings
    stated = {"PatientOrientation": ["L", "F"], "ImageType": ["ORIGINAL", "PRIMARY"]}
    write(tmp_path / "a.dcm", ViewPosition="PA", **stated)
    assert not choose(index([tmp_path]).studies[0], FRONTAL).warnings
