"""A film stored upside down is read the right way up; its objects lie on the stored pixels."""

import numpy as np
import pydicom
import pytest
from dicom_headers import header
from pydicom.uid import ExplicitVRLittleEndian

import medinv
from medinv.data.dicom.orientation import Turn
from medinv.report import write
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.picture import picture
from medinv.report.figures import pictures


@pytest.fixture(scope="module")
def films(samples, card_of, tmp_path_factory) -> dict:
    """The same film stored as it is read and upside down: stored pixels, result, objects."""
    found = {}
    for letters in ("LF", "LH"):
        folder = tmp_path_factory.mktemp(letters)
        film = pydicom.dcmread(samples / "studies" / "study-03" / "radiograph.dcm")
        pixels = film.pixel_array[:: -1 if letters == "LH" else 1]
        film.PatientOrientation = list(letters)
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.PixelData = pixels.tobytes()
        film["PixelData"].VR = "OW"
        film.save_as(folder / "film.dcm")
        (result,) = medinv.classify(folder / "film.dcm", "phantom-opacity", explain=True)
        written = write.dicom(result, card_of(result), folder)["dicom"]
        objects = {ds.Modality: ds for ds in map(pydicom.dcmread, (folder / p for p in written))}
        found[letters] = (pixels, result, objects)
    return found


def _corners(state: pydicom.Dataset) -> np.ndarray:
    drawn = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData
    corners = np.array(drawn).reshape(-1, 2)
    return np.array([corners.min(axis=0), corners.max(axis=0)])


def test_the_answer_is_that_of_the_film_as_it_is_read(films) -> None:
    (_, upright, _), (_, turned, _) = films["LF"], films["LH"]
    assert turned.probabilities == upright.probabilities
    assert turned.instances[0].pixels.turn == Turn(flip_rows=True)


def test_segmentation_and_outline_lie_on_the_stored_pixels(films) -> None:
    (stored, _, upright), (flipped, _, turned) = films["LF"], films["LH"]
    assert (flipped == stored[::-1]).all()
    mask, other = upright["SEG"].pixel_array, turned["SEG"].pixel_array
    assert mask.shape == other.shape == stored.shape
    assert other.any() and (other == mask[::-1]).all() and (other != mask).any()
    assert stored[mask > 0].mean() == flipped[other > 0].mean()
    (low, high), (low_, high_) = _corners(upright["PR"]), _corners(turned["PR"])
    rows = stored.shape[0]
    assert [low_[0], high_[0]] == pytest.approx([low[0], high[0]])
    assert [low_[1], high_[1]] == pytest.approx([rows - high[1], rows - low[1]])


def test_objects_name_the_film_that_was_handed_in(films) -> None:
    _, result, objects = films["LH"]
    uid = result.instances[0].pixels.instance.sop_uid
    (source,) = objects["OT"].SourceImageSequence
    assert source.ReferencedSOPInstanceUID == uid
    assert list(objects["SEG"].PatientOrientation) == ["L", "H"], "that of its frames"


def test_no_report_calls_a_turned_image_as_stored(films, rendered, card_of, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "medinv.report.dicom.picture._fitted", lambda *args, **_: said.append(args[2])
    )
    for letters, caption, alt in (
        ("LF", "The image as stored", "Image 1 as stored"),
        (
            "LH",
            "The image, turned upside down and mirrored as its header says",
            "Image 1, turned upside down and mirrored by its header",
        ),
    ):
        _, result, _ = films[letters]
        uid = result.instances[0].sop_uid
        analysis = Analysis(result, card_of(result), {uid: header()}, pictures(result))
        said.clear()
        picture(analysis, analysis.deciding)
        assert caption in said and alt in rendered(result).decode()
