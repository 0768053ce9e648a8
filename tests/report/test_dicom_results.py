"""DICOM results as archives take them: valid, in the study, saying what the result says."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dicom_headers import SECRETS, header, items, slices
from dicom_made import made
from made import pdf_words

from medinv.report.derived import presented
from medinv.report.dicom.common import Analysis, device_uid
from medinv.report.dicom.header import quoted
from medinv.report.figures import pictures


def test_results_join_the_study_in_series_of_their_own(analyse, opacity) -> None:
    found = made(analyse(opacity))
    assert set(found) == {"SR", "OT", "DOC", "SEG", "PR"}
    assert {ds.StudyInstanceUID for ds in found.values()} == {"1.2.1"}
    assert {ds.AccessionNumber for ds in found.values()} == {"ACC-SECRET"}
    assert len({ds.SeriesInstanceUID for ds in found.values()} | {"1.2.1.1"}) == 6
    assert {str(ds.PatientName) for ds in found.values()} == {"Doe^J\u00fcrgen"}
    for ds in found.values():
        item = ds.ContributingEquipmentSequence[0]
        assert item.DeviceUID == device_uid(opacity.model.sha256)
        assert item.ManufacturerModelName == "medinv phantom-opacity"
        assert "research use" in ds.SeriesDescription


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.parametrize("stack", [False, True], ids=["projection", "slices"])
def test_an_independent_validator_finds_no_error(analyse, opacity, tmp_path, stack) -> None:
    found = made(analyse(opacity, *(slices() if stack else ())))
    for name, ds in found.items():
        ds.save_as(tmp_path / f"{name}.dcm")
        command = ["dciodvfy", tmp_path / f"{name}.dcm"]
        said = subprocess.run(command, capture_output=True, text=True)
        assert "Error" not in said.stderr + said.stdout, (name, said.stderr)
        assert said.returncode == 0


@pytest.mark.skipif(
    shutil.which("dsrdump") is None, reason="dsrdump (Debian: dcmtk) is not installed"
)
def test_another_toolkit_reads_the_structured_report(analyse, clear, tmp_path: Path) -> None:
    made(analyse(clear))["SR"].save_as(tmp_path / "sr.dcm")
    command = ["dsrdump", tmp_path / "sr.dcm"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    share = f"{100 * clear.probabilities['opacity']:.1f}"
    for line in ("Comprehensive 3D SR", "UNVERIFIED", "PARTIAL", "PRELIMINARY", '"opacity"',
                 f'"Probability")="{share}', '"Absent"', "Research use"):  # fmt: skip
        assert line in said


def test_the_report_says_what_the_result_says(analyse, opacity, clear, card_of) -> None:
    for result, presence in ((opacity, "Present"), (clear, "Absent")):
        ds, share = made(analyse(result))["SR"], 100 * result.probabilities["opacity"]
        (told,) = items(ds, "Probability")
        assert float(told.MeasuredValueSequence[0].NumericValue) == round(share, 2)
        (point,) = items(ds, "Probability from which on the model says present")
        threshold = card_of(result).operating_point.threshold
        assert float(point.MeasuredValueSequence[0].NumericValue) == round(100 * threshold, 2)
        assert items(ds, "Presence")[0].ConceptCodeSequence[0].CodeMeaning == presence
        source = items(ds, "Source of Measurement")[0].ReferencedSOPSequence[0]
        assert source.ReferencedSOPInstanceUID == "1.2.1.1.1"
        parameters = [item.TextValue for item in items(ds, "Algorithm Parameters")]
        assert any(opacity.model.sha256 in one for one in parameters)
        assert any("decode back to the pixels: exactly, at 8 bits" in one for one in parameters)


def test_a_round_trip_that_failed_is_said(analyse, opacity) -> None:
    trip = opacity.reconstruction.model_copy(update={"exact": False})
    ds = made(analyse(opacity.model_copy(update={"reconstruction": trip})))["SR"]
    parameters = [item.TextValue for item in items(ds, "Algorithm Parameters")]
    assert any("NOT exactly" in one for one in parameters)


def test_a_study_out_of_scope_gets_no_object(analyse, outside) -> None:
    assert made(analyse(outside)) == {}


def test_each_image_of_several_has_its_own_answer(pair, card_of) -> None:
    shown = presented(pair)
    heads = {
        image.sop_uid: quoted(header(n, SeriesInstanceUID=f"1.2.1.{n}")).elements
        for n, image in enumerate(shown.instances, start=1)
    }
    ds = made(Analysis(shown, card_of(pair), heads, pictures(shown)))["SR"]
    shares = [float(one.MeasuredValueSequence[0].NumericValue) for one in items(ds, "Probability")]
    low, high = (round(100 * one.probabilities["opacity"], 2) for one in shown.instances)
    assert shares == [high, high, low], "the study's, then each image's"
    presence = [one.ConceptCodeSequence[0].CodeMeaning for one in items(ds, "Presence")]
    assert presence == ["Present", "Present", "Absent"]


def test_what_is_drawn_names_no_patient(analyse, opacity, tmp_path) -> None:
    found = made(analyse(opacity))
    drawn = [
        " ".join(pdf_words(found["DOC"].EncapsulatedDocument, tmp_path / "report.pdf")),
        str(found["SR"].ContentSequence),
        str(found["PR"].GraphicAnnotationSequence),
    ]
    assert not [secret for secret in SECRETS for words in drawn if secret in words]
    assert found["OT"].BurnedInAnnotation == found["DOC"].BurnedInAnnotation == "NO"
    named = made(analyse(opacity.model_copy(update={"study_uid": "1.2.1"})))
    assert named["OT"].BurnedInAnnotation == named["DOC"].BurnedInAnnotation == "YES"
