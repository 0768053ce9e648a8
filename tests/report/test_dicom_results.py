"""DICOM results as an archive takes them: valid by an independent validator, in the analysed study, the same when made again."""

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import StandInCard, explanation
from pydicom import Dataset

from medinv.errors import HeaderError
from medinv.report.content import ImageArrays, study_content
from medinv.report.dicom.results import dicom_results
from medinv.report.dicom.common import Analysis, device_uid
from medinv.report.dicom.header import quoted
from medinv.report.pdf.document import pdf_bytes

CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
SECRETS = ("Doe", "ID-SECRET", "19700101", "ACC-SECRET")


def header(number: int = 1, **elements: object) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = (
        CR,
        f"1.2.1.1.{number}",
        "1.2.1",
        "1.2.1.1",
    )
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex, ds.AccessionNumber = (
        "Doe^J\u00fcrgen",
        "ID-SECRET",
        "19700101",
        "M",
        "ACC-SECRET",
    )
    ds.StudyID, ds.StudyDate, ds.StudyTime, ds.Modality, ds.Rows, ds.Columns = (
        "7",
        "20260101",
        "120000",
        "CR",
        120,
        100,
    )
    (
        ds.SamplesPerPixel,
        ds.PhotometricInterpretation,
        ds.BitsAllocated,
        ds.BitsStored,
        ds.HighBit,
        ds.PixelRepresentation,
    ) = 1, "MONOCHROME1", 16, 12, 11, 0
    ds.PatientOrientation, ds.WindowCenter, ds.WindowWidth, ds.InstanceNumber = (
        ["L", "F"],
        2048,
        4096,
        number,
    )
    ds.BodyPartExamined = "CHEST"
    ds.update(
        {
            pydicom.datadict.tag_for_keyword(k): pydicom.DataElement(
                pydicom.datadict.tag_for_keyword(k), pydicom.datadict.dictionary_VR(k), v
            )
            for k, v in elements.items()
        }
    )
    return ds


def slices(count: int = 3) -> list[Dataset]:
    """Axial slices 5 mm apart."""
    place = {
        "SOPClassUID": CT,
        "Modality": "CT",
        "FrameOfReferenceUID": "1.2.9",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PhotometricInterpretation": "MONOCHROME2",
    }
    stacked = range(1, count + 1)
    return [
        header(
            n,
            **place,
            PixelSpacing=[0.5, 0.6],
            SliceThickness=5,
            ImagePositionPatient=[-30, -20, 5 * n],
            RescaleSlope=1,
            RescaleIntercept=-1024,
        )
        for n in stacked
    ]


@pytest.fixture
def analyse(card: StandInCard, make_arrays: Callable[..., ImageArrays]) -> Callable[..., Analysis]:
    """An analysis with the label, over images with the given headers."""

    def make(
        label: str = "pneumonia",
        probability: float = 0.9,
        headers: list[Dataset] | None = None,
        **row: object,
    ) -> Analysis:
        headers = headers or [header()]
        said = {
            "label": label,
            "probabilities": {"normal": 1 - probability, "pneumonia": probability},
        }
        names = [f"image-{n}" for n in range(len(headers))]
        instances = [
            {"sop_uid": name, "scope": {"in_scope": label != "out of scope"}, **said}
            for name in names
        ]
        row = {
            "status": "ok",
            "study_uid": "study-1",
            "instances": instances,
            "model": {"sha256": card.weights_sha256},
            "seconds": 1.0,
            **said,
        } | row
        arrays = {name: make_arrays(explained=explanation()) for name in names}
        return Analysis(
            study_content(row, arrays, card),
            {name: quoted(head) for name, head in zip(names, headers)},
        )

    return make


def made(analysis: Analysis, earlier: tuple[Dataset, ...] = ()) -> dict[str, Dataset]:
    """The results by modality, written and read back."""
    found = {}
    for dataset in dicom_results(
        analysis, pdf_bytes(replace(analysis.content, seconds=None)), earlier
    ):
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        found[
            "map"
            if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
            else dataset.Modality
        ] = pydicom.dcmread(stream)
    return found


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """All content items of a structured report with a concept name, at any depth."""
    here = [
        i
        for i in dataset.get("ContentSequence", ())
        if i.ConceptNameCodeSequence[0].CodeMeaning == name
    ]
    return here + [
        found for item in dataset.get("ContentSequence", ()) for found in items(item, name)
    ]


def test_results_join_the_study_in_series_of_their_own(analyse) -> None:
    found = made(analyse())
    assert set(found) == {"SR", "OT", "DOC", "SEG", "PR"}
    assert {ds.StudyInstanceUID for ds in found.values()} == {"1.2.1"} and {
        ds.AccessionNumber for ds in found.values()
    } == {"ACC-SECRET"}
    assert len({ds.SeriesInstanceUID for ds in found.values()} | {"1.2.1.1"}) == 6
    assert {str(ds.PatientName) for ds in found.values()} == {"Doe^J\u00fcrgen"}
    for ds in found.values():
        item = ds.ContributingEquipmentSequence[0]
        assert (
            item.DeviceUID == device_uid("9f" * 32)
            and item.ManufacturerModelName == "medinv chest-xray"
            and "chest-xray 1.0" in item.SoftwareVersions
        )
        assert "research use" in ds.SeriesDescription


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.parametrize("stack", [False, True], ids=["projection", "slices"])
def test_an_independent_validator_finds_no_error(analyse, tmp_path: Path, stack: bool) -> None:
    found = made(analyse(headers=slices() if stack else None))
    for name, ds in found.items():
        ds.save_as(tmp_path / f"{name}.dcm")
        said = subprocess.run(
            ["dciodvfy", tmp_path / f"{name}.dcm"], capture_output=True, text=True
        )
        assert "Error" not in said.stderr + said.stdout and said.returncode == 0, (
            name,
            said.stderr,
        )


@pytest.mark.skipif(
    shutil.which("dsrdump") is None, reason="dsrdump (Debian: dcmtk) is not installed"
)
def test_another_toolkit_reads_the_structured_report(analyse, tmp_path: Path) -> None:
    made(analyse())["SR"].save_as(tmp_path / "sr.dcm")
    said = subprocess.run(
        ["dsrdump", tmp_path / "sr.dcm"], capture_output=True, text=True, check=True
    ).stdout
    for line in (
        "Comprehensive 3D SR",
        "UNVERIFIED",
        "PARTIAL",
        "PRELIMINARY",
        '"Pneumonia"',
        '"Probability")="90.0',
        '"Present"',
        "Research use",
    ):
        assert line in said


def test_the_report_says_what_the_content_says(analyse) -> None:
    positive, negative = made(analyse())["SR"], made(analyse("normal", 0.2))["SR"]
    for ds, share, presence in ((positive, 90.0, "Present"), (negative, 20.0, "Absent")):
        assert [
            float(i.MeasuredValueSequence[0].NumericValue) for i in items(ds, "Probability")
        ] == [share]
        assert items(ds, "Presence")[0].ConceptCodeSequence[0].CodeMeaning == presence
        assert (
            items(ds, "Source of Measurement")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            == "1.2.1.1.1"
        )
        assert any("9f9f" in i.TextValue for i in items(ds, "Algorithm Parameters"))


def test_nothing_is_drawn_for_a_finding_that_was_not_called(analyse) -> None:
    assert set(made(analyse("normal", 0.2))) == {"SR", "OT", "DOC"}


def test_a_study_out_of_scope_gets_no_object(analyse) -> None:
    assert made(analyse("out of scope")) == {}


def test_the_segmentation_is_the_evidence_above_the_stated_threshold(analyse) -> None:
    analysis = analyse()
    found = made(analysis)
    sums = explanation().evidence.contributions.reshape(8, 8, 8, 8).sum(axis=(1, 3))
    mask = found["SEG"].pixel_array
    assert mask.shape == (120, 100)
    for i, j in np.ndindex(8, 8):
        assert mask[int((i + 0.5) * 15), int((j + 0.5) * 12.5)] == (sums[i, j] >= sums.max() / 2)
    assert f"{sums.max() / 2:+.2f}" in found["SEG"].SegmentSequence[0].SegmentDescription
    assert float(
        items(found["SR"], "Contribution to the log-odds of the finding, sum over the region")[0]
        .MeasuredValueSequence[0]
        .NumericValue
    ) == pytest.approx(sums[sums >= sums.max() / 2].sum(), abs=1e-3)
    assert (
        items(found["SR"], "Referenced Segmentation Frame")[0]
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
        == found["SEG"].SOPInstanceUID
    )


def test_the_presentation_state_outlines_the_largest_region(analyse) -> None:
    state = made(analyse())["PR"]
    sums = explanation().evidence.contributions.reshape(8, 8, 8, 8).sum(axis=(1, 3))
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    corners = np.array(
        state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData
    ).reshape(-1, 2)
    assert corners.min(axis=0) == pytest.approx([column * 12.5, row * 15]) and corners.max(
        axis=0
    ) == pytest.approx([(column + 1) * 12.5, (row + 1) * 15])
    assert state.PresentationLUTShape == "INVERSE"  # the image is MONOCHROME1
    assert (
        "not for diagnosis"
        in state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    )


def test_slices_come_with_the_exact_map_at_its_place(analyse) -> None:
    analysis = analyse(headers=slices())
    for n, image in enumerate(
        analysis.content.images, start=1
    ):  # evidence that tells the slices apart
        image.arrays.explanation.evidence.contributions[:] *= n
    found = made(analysis)
    assert "PR" not in found and found["SEG"].pixel_array.shape == (3, 120, 100)
    ds = found["map"]
    values = np.frombuffer(ds.DoubleFloatPixelData).reshape(3, 64, 64)
    for value, frame in zip(values, ds.PerFrameFunctionalGroupsSequence):
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        assert (value == explanation().evidence.contributions * int(z / 5)).all()
        # A network pixel covers 120/64 x 100/64 stored ones; their common corner lies half a stored pixel before the centre that the header gives.
        assert [x, y] == pytest.approx(
            [-30 + (100 / 64 - 1) / 2 * 0.6, -20 + (120 / 64 - 1) / 2 * 0.5]
        )
    assert list(
        ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    ) == pytest.approx([0.5 * 120 / 64, 0.6 * 100 / 64])


def test_each_slice_s_region_names_its_own_frame(analyse) -> None:
    found = made(analyse(headers=slices()))
    pairs = zip(
        items(found["SR"], "Referenced Segmentation Frame"),
        items(found["SR"], "Source Image for Segmentation"),
        strict=True,
    )
    for region, source in pairs:
        frame = found["SEG"].PerFrameFunctionalGroupsSequence[
            region.ReferencedSOPSequence[0].ReferencedFrameNumber - 1
        ]
        z = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == f"1.2.1.1.{int(z / 5)}"


def test_the_same_result_made_again_has_the_same_identity(analyse) -> None:
    first, again = made(analyse(seconds=1.0)), made(analyse(seconds=2.5))
    assert {name: ds.SOPInstanceUID for name, ds in first.items()} == {
        name: ds.SOPInstanceUID for name, ds in again.items()
    }
    assert (
        first["DOC"].EncapsulatedDocument == again["DOC"].EncapsulatedDocument
        and first["OT"].PixelData == again["OT"].PixelData
    )
    times = {
        "InstanceCreationTime",
        "ContentTime",
        "ContributionDateTime",
        "PresentationCreationTime",
        "TimeOfSecondaryCapture",
        "StructuredDocumentTime",
    }
    for name in first:
        for ds in (first[name], again[name]):
            ds.walk(
                lambda ds, element: (
                    ds.__delitem__(element.tag)
                    if element.keyword in times or "Date" in element.keyword
                    else None
                )
            )
        assert first[name] == again[name], name


def test_what_else_lies_in_the_study_makes_no_other_result(analyse) -> None:
    """Results that were stored come back with the study."""
    left_out = {
        "skipped": [
            {"sop_uid": "image-9", "stage": "select", "code": "no-pixels", "message": "a report"}
        ]
    }
    assert made(analyse(**left_out))["SR"].SOPInstanceUID == made(analyse())["SR"].SOPInstanceUID


def test_another_result_supersedes_in_the_same_series(analyse) -> None:
    old = made(analyse())
    new = made(analyse(probability=0.8), (old["SR"],))
    assert all(
        new[name].SOPInstanceUID != old[name].SOPInstanceUID
        and new[name].SeriesInstanceUID == old[name].SeriesInstanceUID
        for name in old
    )
    predecessor = (
        new["SR"]
        .PredecessorDocumentsSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[0]
    )
    assert predecessor.ReferencedSOPInstanceUID == old["SR"].SOPInstanceUID


def test_what_is_drawn_names_no_patient(analyse) -> None:
    found = made(analyse())
    drawn = [
        found["DOC"].EncapsulatedDocument,
        *(
            str(found["SR"].ContentSequence).encode(),
            str(found["PR"].GraphicAnnotationSequence).encode(),
        ),
    ]
    assert not [secret for secret in SECRETS for data in drawn if secret.encode() in data]
    assert found["OT"].BurnedInAnnotation == found["DOC"].BurnedInAnnotation == "NO"


def test_a_header_without_a_series_is_refused_in_words_that_quote_no_value() -> None:
    broken = header()
    del broken.SeriesInstanceUID
    with pytest.raises(HeaderError, match="lacks SeriesInstanceUID") as caught:
        quoted(broken)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_a_header_that_no_object_can_quote_is_a_typed_error(analyse) -> None:
    with pytest.raises(HeaderError) as caught:
        made(analyse(headers=[header(StudyDate="Doe was here")]))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
