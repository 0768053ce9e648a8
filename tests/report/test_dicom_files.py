"""DICOM results on the disk: named by hashes, left alone when made again,
superseded when another result comes.
"""

import pydicom
import pytest
from made import edited

from medinv.report import write


@pytest.fixture
def files(card_of, tmp_path):
    def make(result) -> list:
        said = write.dicom(result, card_of(result), tmp_path)
        return [tmp_path / path for path in said["dicom"]]

    return make


def report_of(paths) -> pydicom.Dataset:
    (path,) = (path for path in paths if path.name.startswith("sr-"))
    return pydicom.dcmread(path)


def test_the_same_result_leaves_the_files_and_another_supersedes_them(opacity, files) -> None:
    written = files(opacity)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in written}
    assert {path.name.split("-")[0] for path in written} == {"sr", "ot", "doc", "seg", "pr"}
    assert files(opacity) == written
    folder = written[0].parent
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()
    } == before
    old = report_of(written)
    second = files(edited(opacity, stored_sha256="ab" * 32))
    assert set(folder.iterdir()) == set(second) and not set(written) & set(second)
    new = report_of(second)
    (named,) = new.PredecessorDocumentsSequence
    named = named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert new.SeriesInstanceUID == old.SeriesInstanceUID


def test_results_quote_the_header_of_the_very_image(pair, files) -> None:
    for path in files(pair):
        dataset = pydicom.dcmread(path)
        assert dataset.StudyInstanceUID == "1.2.3.77" and dataset.PatientID == "PAIR"
    sources = {
        item.ReferencedSOPInstanceUID
        for path in files(pair)
        for item in pydicom.dcmread(path).get("SourceImageSequence", ())
    }
    assert sources == {"1.2.3.77.1.1", "1.2.3.77.2.1"}


def test_file_names_are_hashes(opacity, files) -> None:
    for path in files(opacity):
        dataset = pydicom.dcmread(path)
        secrets = (
            dataset.StudyInstanceUID,
            dataset.SOPInstanceUID,
            dataset.PatientID,
            str(dataset.PatientName),
        )
        assert not [secret for secret in secrets if secret in path.name]


def test_what_is_out_of_scope_gets_no_file(outside, failed, files) -> None:
    assert files(outside) == [] and files(failed) == []
