"""Two patients are never one study, and one UID on two contents is no study: the run says so."""

import pydicom

from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index


def _changed(film, to, **values) -> None:
    dataset = pydicom.dcmread(film)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(to)


def test_a_study_of_two_patients_fails_and_the_others_do_not(write_film, phantom, tmp_path) -> None:
    folder = tmp_path / "in"
    first = write_film(folder / "1.dcm", 1)
    write_film(folder / "2.dcm", 2)
    _changed(
        first,
        folder / "other.dcm",
        SOPInstanceUID="1.2.3.1.1.2",
        PatientID="another",
        PatientName="Another^Name",
        PatientBirthDate="19010101",
    )
    summary = run(index([folder]), [phantom], Options(tmp_path / "out"))
    failed, whole = sorted(summary.results, key=lambda result: result.status)
    assert (failed.status, whole.status) == ("failed", "ok") and summary.exit_code == 1
    assert failed.error.code == "two-patients" and not failed.instances and failed.label is None
    assert "another" not in failed.model_dump_json().lower().replace("another study", "")
    assert summary.counts["broken_files"] == 2 and summary.counts["files"] == 3


def test_one_uid_on_two_contents_is_never_exit_code_0(write_film, phantom, tmp_path) -> None:
    folder = tmp_path / "in"
    first = write_film(folder / "1.dcm", 1)
    other = pydicom.dcmread(first).pixel_array // 2
    _changed(first, folder / "again.dcm", PixelData=other.tobytes())
    summary = run(index([folder]), [phantom], Options(tmp_path / "out"))
    (result,) = summary.results
    assert summary.exit_code == 1 and result.broken and not result.skipped
    assert {one.code for one in result.broken} == {"repeated-uid"}
