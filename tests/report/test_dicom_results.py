"""DICOM results as archives take them: valid, in the analysed study, the same if made again."""

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_headers import SECRETS, header, items, slices
from made import edited, first, pdf_words
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import PersonName
from scipy import ndimage

from medinv.analysis.result import StudyResult
from medinv.errors import HeaderError
from medinv.report.derived import presented
from medinv.report.dicom import evidence
from medinv.report.dicom.common import Analysis, device_uid
from medinv.report.dicom.header import quoted
from medinv.report.dicom.results import dicom_results
from medinv.report.dicom.trial import try_headers
from medinv.report.figures import pictures
from medinv.report.pdf import document

SUM = "Contribution to the log-odds of the finding, sum over the region"


@pytest.fixture
def analyse(card_of) -> Callable[..., Analysis]:
    """A result over images with the given headers, each with its own evidence."""

    def make(result: StudyResult, *headers: Dataset) -> Analysis:
        heads = headers or (header(),)
        (image,) = result.instances
        images = tuple(
            image.model_copy(update={"sop_uid": f"image-{n}"}) for n in range(len(heads))
        )
        shown = presented(result.model_copy(update={"instances": images}))
        named = {
            one.sop_uid: quoted(head).elements for one, head in zip(images, heads, strict=True)
        }
        return Analysis(shown, card_of(result), named, pictures(shown))

    return make


def made(analysis: Analysis, earlier: tuple[Dataset, ...] = ()) -> dict[str, Dataset]:
    """The results by modality, written and read back."""
    pdf = document.render(analysis.result, analysis.card, analysis.pictures)
    found = {}
    for dataset in dicom_results(analysis, pdf, earlier):
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        is_map = "DoubleFloatPixelData" in dataset
        found["map" if is_map else dataset.Modality] = pydicom.dcmread(stream)
    return found


def chosen(result: StudyResult) -> tuple[np.ndarray, np.ndarray, float]:
    """Network pixels that hold half the largest evidence, those around the largest, the limit."""
    values = first(result).explanation.local_evidence.locations
    mask = values >= 0.5 * values.max()
    parts, _ = ndimage.label(mask)
    return mask, parts == parts.flat[values.argmax()], 0.5 * values.max()


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


def test_nothing_is_drawn_for_a_finding_that_was_not_called(analyse, clear) -> None:
    assert set(made(analyse(clear))) == {"SR", "OT", "DOC"}


def test_nothing_is_drawn_where_the_check_of_the_evidence_failed(analyse, opacity) -> None:
    check = replace(first(opacity).explanation.local_evidence.check, fall=-1.0)
    unclaimed = edited(opacity, explanation={"local_evidence": {"check": check}})
    assert set(made(analyse(unclaimed))) == {"SR", "OT", "DOC"}


def test_a_study_out_of_scope_gets_no_object(analyse, outside) -> None:
    assert made(analyse(outside)) == {}


def test_the_segmentation_is_the_evidence_above_the_stated_threshold(analyse, opacity) -> None:
    found, (mask, _, limit) = made(analyse(opacity)), chosen(opacity)
    drawn, side = found["SEG"].pixel_array, len(mask)
    assert drawn.shape == (120, 100)
    for r, c in np.ndindex(drawn.shape):
        inside = (
            np.array([r, c]) * side / drawn.shape,
            np.array([r + 1, c + 1]) * side / drawn.shape,
        )
        (i, j), ends = inside[0].astype(int), np.ceil(inside[1]).astype(int)
        if (ends == (i + 1, j + 1)).all():  # stored pixels that lie wholly in one of the network's
            assert drawn[r, c] == mask[i, j]
    assert f"{limit:+.3f}" in found["SEG"].SegmentSequence[0].SegmentDescription
    (total,) = items(found["SR"], SUM)
    values = first(opacity).explanation.local_evidence.locations
    said = float(total.MeasuredValueSequence[0].NumericValue)
    assert said == pytest.approx(values[mask].sum(), abs=1e-3)
    (frame,) = items(found["SR"], "Referenced Segmentation Frame")
    named = frame.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == found["SEG"].SOPInstanceUID


def test_without_local_evidence_regions_are_segmented(analyse, opacity) -> None:
    by_region = edited(opacity, explanation={"local_evidence": None})
    found = made(analyse(by_region))["SEG"]
    pixels = first(opacity).explanation.evidence.contributions
    n = len(pixels) // 8
    sums = pixels.reshape(n, 8, n, 8).sum((1, 3))
    for i, j in np.ndindex(sums.shape):
        at = int((i + 0.5) * 120 / n), int((j + 0.5) * 100 / n)
        assert found.pixel_array[at] == (sums[i, j] >= sums.max() / 2)
    assert f"{sums.max() / 2:+.2f}" in found.SegmentSequence[0].SegmentDescription


def test_the_presentation_state_outlines_the_largest_evidence(analyse, opacity) -> None:
    state, (_, around, _) = made(analyse(opacity))["PR"], chosen(opacity)
    rows, columns = np.nonzero(around)
    side = np.array([100, 120]) / len(around)
    graphic = state.GraphicAnnotationSequence[0]
    corners = np.array(graphic.GraphicObjectSequence[0].GraphicData).reshape(-1, 2)
    assert corners.min(axis=0) == pytest.approx(np.array([columns.min(), rows.min()]) * side)
    high = np.array([columns.max() + 1, rows.max() + 1]) * side
    assert corners.max(axis=0) == pytest.approx(high)
    assert state.PresentationLUTShape == "INVERSE"  # the image is MONOCHROME1
    words = graphic.TextObjectSequence[0].UnformattedTextValue
    outlined = first(opacity).explanation.local_evidence.locations[around].sum()
    assert words == f"{outlined:+.2f} log-odds for opacity. Research use, not for diagnosis"


def test_slices_come_with_the_exact_map_at_its_place(analyse, opacity) -> None:
    found = made(analyse(opacity, *slices()))
    assert "PR" not in found and found["SEG"].pixel_array.shape == (3, 120, 100)
    ds, local = found["map"], first(opacity).explanation.local_evidence.locations
    side = len(local)
    values = np.frombuffer(ds.DoubleFloatPixelData).reshape(3, side, side)
    heights = []
    for value, frame in zip(values, ds.PerFrameFunctionalGroupsSequence, strict=True):
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        assert (value == local).all()
        # The common corner of both grids lies half a stored pixel before the header's centre.
        expected = [-30 + (100 / side - 1) / 2 * 0.6, -20 + (120 / side - 1) / 2 * 0.5]
        assert [x, y] == pytest.approx(expected)
        heights.append(z)
    assert sorted(heights) == [5, 10, 15]
    spacing = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert list(spacing) == pytest.approx([0.5 * 120 / side, 0.6 * 100 / side])


def test_each_slice_s_region_names_its_own_frame(analyse, opacity) -> None:
    found = made(analyse(opacity, *slices()))
    regions = items(found["SR"], "Referenced Segmentation Frame")
    sources = items(found["SR"], "Source Image for Segmentation")
    assert len(regions) == 3
    for region, source in zip(regions, sources, strict=True):
        number = region.ReferencedSOPSequence[0].ReferencedFrameNumber
        frame = found["SEG"].PerFrameFunctionalGroupsSequence[number - 1]
        z = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        named = source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert named == f"1.2.1.1.{int(z / 5)}"


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


def test_the_same_result_made_again_has_the_same_identity(analyse, opacity) -> None:
    later = opacity.model_copy(update={"seconds": 99.0})
    one, again = made(analyse(opacity)), made(analyse(later))
    assert {name: ds.SOPInstanceUID for name, ds in one.items()} == {
        name: ds.SOPInstanceUID for name, ds in again.items()
    }
    assert one["DOC"].EncapsulatedDocument == again["DOC"].EncapsulatedDocument
    assert one["OT"].PixelData == again["OT"].PixelData
    times = {
        "InstanceCreationTime", "ContentTime", "ContributionDateTime", "PresentationCreationTime",
        "TimeOfSecondaryCapture", "StructuredDocumentTime",
    }  # fmt: skip

    def timeless(ds: Dataset, element: pydicom.DataElement) -> None:
        if element.keyword in times or "Date" in element.keyword:
            del ds[element.tag]

    for name in one:
        for ds in (one[name], again[name]):
            ds.walk(timeless)
        assert one[name] == again[name], name


@pytest.mark.parametrize(
    "what", ["label", "evidence", "weights", "image", "scope of the round trip"]
)
def test_another_result_has_another_identity(analyse, opacity, what) -> None:
    local = first(opacity).explanation.local_evidence.locations
    named = {"clear": 0.2, "opacity": 0.8}
    trip = opacity.reconstruction.model_copy(update={"exact": False})
    other = {
        "label": edited(opacity, probabilities=named).model_copy(update={"probabilities": named}),
        "evidence": edited(opacity, explanation={"local_evidence": {"locations": 1.1 * local}}),
        "weights": opacity.model_copy(
            update={"model": opacity.model.model_copy(update={"sha256": "ab" * 32})}
        ),
        "image": edited(opacity, stored_sha256="ab" * 32),
        "scope of the round trip": opacity.model_copy(update={"reconstruction": trip}),
    }[what]
    uids = {analyse(one).instance_uid("sr") for one in (opacity, other)}
    assert len(uids) == 2


def test_what_else_lies_in_the_study_makes_no_other_result(analyse, opacity, skipped) -> None:
    """Results that were stored come back with the study."""
    more = opacity.model_copy(update={"skipped": skipped.skipped})
    assert analyse(more).instance_uid("sr") == analyse(opacity).instance_uid("sr")


def test_another_result_supersedes_in_the_same_series(analyse, opacity) -> None:
    old = made(analyse(opacity))
    new = made(analyse(edited(opacity, stored_sha256="ab" * 32)), (old["SR"],))
    for name in old:
        assert new[name].SOPInstanceUID != old[name].SOPInstanceUID
        assert new[name].SeriesInstanceUID == old[name].SeriesInstanceUID
    (document_,) = new["SR"].PredecessorDocumentsSequence
    named = document_.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == old["SR"].SOPInstanceUID


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


def test_the_picture_shows_image_evidence_and_counterfactual(analyse, opacity, normal) -> None:
    drawn = made(analyse(opacity))["OT"].pixel_array
    assert drawn.shape[1] == 28 + 3 * (560 + 28), "three panels"
    panel = slice(150, 150 + 560)
    plain, over = drawn[panel, 28:588].astype(int), drawn[panel, 616:1176].astype(int)
    assert (np.ptp(plain, axis=2) == 0).mean() > 0.95, "the first panel has no colour but letters"
    values = first(opacity).explanation.local_evidence.locations
    row, column = np.unravel_index(values.argmax(), values.shape)
    at = int((row + 0.5) / len(values) * 560), int((column + 0.5) / len(values) * 560)
    assert over[at][0] > over[at][2] + 50, "orange where evidence speaks for the finding"
    none = edited(normal, explanation={"counterfactual": {"flipped": False}})
    assert made(analyse(none))["OT"].pixel_array.shape[1] == 28 + 2 * (560 + 28)


@pytest.mark.parametrize(
    ("terms", "stored", "name"),
    [
        ("ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
        ("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^Tarou=山田^太郎",
        ),
        (
            ["", "ISO 2022 IR 149"],
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            "Hong^Gildong=洪^吉洞",
        ),
        (
            ["", "ISO 2022 IR 58"],
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
    ],
    ids=["latin", "cyrillic", "chinese", "japanese", "korean", "chinese with escapes"],
)
def test_names_are_written_in_every_character_set(analyse, clear, terms, stored, name) -> None:
    head = header(SpecificCharacterSet=terms)
    head.PatientName = PersonName(stored, ["ascii"])
    for dataset in made(analyse(clear, head)).values():
        assert str(dataset.PatientName) == name
    assert not quoted(head).warnings


def test_undeclared_utf_8_is_read_and_said() -> None:
    head = header()
    head.PatientName = PersonName("Äneas^Rüdiger".encode(), ["ascii"])
    found = quoted(head)
    assert str(found.elements.PatientName) == "Äneas^Rüdiger"
    assert found.warnings == (
        "DICOM results: PatientName: a text is in UTF-8 though the header declares another "
        "character set",
    )


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "StudyDescription"])
def test_bytes_that_cannot_be_read_are_written_as_they_were_and_said(
    analyse, clear, keyword
) -> None:
    stored, tag = b"Kim^\xff\xfe(A)", tag_for_keyword(keyword)
    head = header(SpecificCharacterSet="ISO 2022 IR 149")
    raw = RawDataElement(tag, dictionary_VR(tag), len(stored), stored, 0, False, True)
    head[tag] = raw  # as it comes from a file
    (warning,) = quoted(head).warnings
    assert warning.startswith(f"DICOM results: {keyword}: ") and "kept as they are" in warning
    head[tag] = raw
    for dataset in dicom_results(analyse(clear, head), b"%PDF"):
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        assert pydicom.dcmread(stream).get_item(tag).value.rstrip() == stored


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("uid", ["1.2.840.99999.FILM-A", "1.2.03.4", "1.2." + "3" * 61])
def test_an_image_of_no_valid_uid_gets_no_object(keyword, uid) -> None:
    """One that names it is not valid, one that names it otherwise refers to nothing."""
    head = header()
    setattr(head, keyword, uid)
    with pytest.raises(HeaderError, match=f"the header's {keyword} is none") as caught:
        quoted(head)
    assert uid not in str(caught.value)


def test_a_frame_of_reference_of_no_valid_uid_is_left_out_and_said() -> None:
    """A film needs none; slices do."""
    made = quoted(header(FrameOfReferenceUID="1.2.03.4"))
    assert "FrameOfReferenceUID" not in made.elements
    (warning,) = made.warnings
    assert "FrameOfReferenceUID" in warning and "1.2.03.4" not in warning
    try_headers([made.elements])
    (odd,) = slices(1)
    odd.FrameOfReferenceUID = "1.2.03.4"
    with pytest.raises(HeaderError):
        try_headers([quoted(odd).elements])


def test_a_header_without_a_series_is_refused_in_words_that_quote_no_value() -> None:
    broken = header()
    del broken.SeriesInstanceUID
    with pytest.raises(HeaderError, match="lacks SeriesInstanceUID") as caught:
        quoted(broken)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


@pytest.mark.parametrize(
    "elements",
    [
        {"StudyDate": "Doe was here"},
        {"ImagePositionPatient": [1, 2]},
        {"ImageOrientationPatient": [1, 0, 0]},
    ],
    ids=lambda elements: next(iter(elements)),
)
def test_a_header_that_no_object_can_quote_is_a_typed_error(analyse, opacity, elements) -> None:
    (slice_,) = slices(1)
    bad = header(**elements)
    if "StudyDate" not in elements:
        for element in bad:
            if element.keyword in elements:
                slice_[element.tag] = element
        bad = slice_
    with pytest.raises(HeaderError, match="no DICOM results can be made of this header") as caught:
        made(analyse(opacity, bad))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_objects_of_fixed_contents_can_be_made_of_sound_headers() -> None:
    try_headers([quoted(head).elements for head in (header(), *slices())])


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError, KeyError, IndexError])
@pytest.mark.parametrize("where", ["_words", "_outline", "regions"])
def test_an_error_of_our_own_is_not_called_the_headers(
    analyse, opacity, monkeypatch, error, where
) -> None:
    def broken(*_: object) -> None:
        raise error("planted")

    monkeypatch.setattr(evidence, where, broken)
    with pytest.raises(error, match="planted"):
        made(analyse(opacity))
