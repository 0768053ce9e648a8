"""One result has one identity, however often it is made; another supersedes it."""

import pydicom
import pytest
from dicom_made import made
from made import edited, first
from pydicom import Dataset


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
