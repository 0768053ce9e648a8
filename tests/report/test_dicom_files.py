"""DICOM results on the disk: named by hashes, left alone when made again, superseded when another result comes."""

from collections.abc import Callable
from pathlib import Path

import pydicom
from conftest import StandInCard, explanation

from medinv.report.dicom.files import write_dicom_results
from medinv.data.dicom.index import Instance, index
from medinv.report.content import ImageArrays, StudyContent, study_content


def content(
    card: StandInCard, make_arrays: Callable[..., ImageArrays], probability: float
) -> StudyContent:
    said = {
        "label": "pneumonia",
        "probabilities": {"normal": 1 - probability, "pneumonia": probability},
    }
    row = {
        "status": "ok",
        "study_uid": "study-1",
        "instances": [{"sop_uid": "image-1", **said}],
        "model": {"sha256": card.weights_sha256},
        **said,
    }
    return study_content(row, {"image-1": make_arrays((512, 512), explained=explanation())}, card)


def film(samples: Path) -> dict[str, Instance]:
    return {"image-1": next(index([samples / "studies" / "study-08"]).instances)}


def test_the_same_result_leaves_the_files_and_another_supersedes_them(
    card, make_arrays, samples, tmp_path
) -> None:
    first = write_dicom_results(content(card, make_arrays, 0.9), film(samples), tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first}
    assert {path.name.split("-")[0] for path in first} == {"sr", "ot", "doc", "seg", "pr"}
    assert write_dicom_results(content(card, make_arrays, 0.9), film(samples), tmp_path) == first
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()
    } == before
    (old,) = (pydicom.dcmread(path) for path in first if path.name.startswith("sr-"))
    second = write_dicom_results(content(card, make_arrays, 0.8), film(samples), tmp_path)
    assert set(tmp_path.iterdir()) == set(second) and not set(first) & set(second)
    (new,) = (pydicom.dcmread(path) for path in second if path.name.startswith("sr-"))
    named = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert (
        named.ReferencedSOPInstanceUID == old.SOPInstanceUID
        and new.SeriesInstanceUID == old.SeriesInstanceUID
    )


def test_file_names_are_hashes(card, make_arrays, samples, tmp_path) -> None:
    written = write_dicom_results(content(card, make_arrays, 0.9), film(samples), tmp_path)
    for path in written:
        dataset = pydicom.dcmread(path)
        assert not [
            secret
            for secret in (
                dataset.StudyInstanceUID,
                dataset.SOPInstanceUID,
                dataset.PatientID,
                str(dataset.PatientName),
            )
            if secret in path.name
        ]
