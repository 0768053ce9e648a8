"""Studies through the shipped models: every file accounted for,
nothing said that was not measured.
"""

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest

from medinv.analysis.infer import predict_studies
from medinv.batch.options import Options
from medinv.batch.run import Summary, run
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.resize import resize
from medinv.errors import ConfigError, OutputError, ShapeError
from medinv.files import pseudonym
from medinv.models.store import load
from medinv.report.write import reports

REPORTS = {"report": reports}

REAL = Path(pydicom.__file__).parent / "data" / "test_files"
REQUIRED = (
    "study_uid",
    "status",
    "error",
    "label",
    "probabilities",
    "instances",
    "reconstruction",
    "warnings",
    "model",
    "seconds",
)


@pytest.fixture(scope="module")
def chest():
    return load("chest-xray")


def _run(inputs: list[Path], model, out: Path, **options) -> Summary:
    return run(index(inputs), [model], Options(out, **options))


@pytest.fixture(scope="module")
def real(chest, tmp_path_factory) -> tuple[Summary, Path]:
    """All DICOM files that pydicom ships, through the chest radiograph model."""
    out = tmp_path_factory.mktemp("real")
    return _run([REAL], chest, out), out


def test_every_real_file_is_classified_flagged_or_left_out_with_a_reason(real) -> None:
    summary, _ = real
    images = [instance for row in summary.results for instance in row.instances]
    left_out = [item for row in summary.results for item in row.skipped + row.broken]
    assert len({image.path for image in images}) + len(left_out) == summary.counts["files"]
    assert images and len(left_out) > 40
    assert all(item.code and item.message for item in left_out)
    assert {row.status for row in summary.results} == {"ok", "failed", "skipped"}


def test_no_real_file_of_another_kind_gets_a_label(real) -> None:
    summary, _ = real
    for row in summary.results:
        for instance in row.instances:
            if instance.modality not in ("CR", "DX", "DR", "RF", None):
                assert instance.label == "out of scope" and instance.scope.reasons


def test_likelihood_alone_flags_most_real_ct_and_mr(chest) -> None:
    instances = [i for i in index([REAL]).instances if i.modality in ("CT", "MR") and i.frames == 1]
    images = [
        resize(read_pixels(instance).display, chest.image_shape[-1])
        for instance in instances
        if not instance.warnings
    ]
    (predictions,) = predict_studies(chest, [images])
    assert len(images) >= 15
    assert sum(one.scope_score > chest.card.scope.threshold for one in predictions) >= 0.9 * len(
        images
    )


def test_every_image_decodes_exactly_even_those_out_of_scope(real) -> None:
    summary, _ = real
    assert all(
        row.reconstruction.exact and row.reconstruction.max_abs_error < 0.05
        for row in summary.results
        if row.status == "ok"
    )


def test_the_files_on_disk_say_what_the_summary_says(real) -> None:
    summary, out = real
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert rows == [json.loads(json.dumps(result.row())) for result in summary.results]
    assert all(key in row for row in rows for key in REQUIRED)
    table = list(csv.DictReader((out / "results.csv").open()))
    assert (
        [line["study_uid"] for line in table]
        == [row["study_uid"] for row in rows]
        == pq.read_table(out / "results.parquet")["study_uid"].to_pylist()
    )
    record = json.loads((out / "run.json").read_text())
    counts = record["counts"]
    assert (
        counts["classified"] + counts["out_of_scope"] + counts["failed"] + counts["skipped"]
        == counts["rows"]
        == len(rows)
    )
    assert (
        record["models"][0]["sha256"]
        and record["versions"]["torch"]
        and "not for diagnosis" in record["disclaimer"]
    )
    assert not list(out.glob("*.tmp")) + list(out.glob("*.partial"))


def test_identifiers_are_pseudonyms_unless_asked_for(chest, samples, tmp_path) -> None:
    source = samples / "studies" / "study-06"
    dataset = pydicom.dcmread(next(source.rglob("*.dcm")))
    hidden = _run([source], chest, tmp_path / "hidden", renderers=REPORTS)
    shown = _run([source], chest, tmp_path / "shown", phi=True)
    assert (
        hidden.results[0].study_uid == pseudonym(dataset.StudyInstanceUID, "study")
        and shown.results[0].study_uid == dataset.StudyInstanceUID
    )
    written = b"".join(
        path.read_bytes() for path in (tmp_path / "hidden").rglob("*") if path.is_file()
    )
    for secret in (
        str(dataset.PatientName),
        str(dataset.PatientID),
        dataset.StudyInstanceUID,
        dataset.SOPInstanceUID,
    ):
        assert secret and secret.encode() not in written


@pytest.fixture
def damaged(samples, tmp_path) -> Path:
    """A folder with a whole study, one cut in its pixels, one with text instead of DICOM,
    and a study of two whose second film is cut.
    """
    folder = tmp_path / "in"
    files = {
        name: next((samples / "studies" / name).glob("radiograph*.dcm")).read_bytes()
        for name in ("study-06", "study-03", "study-05")
    }
    folder.mkdir()
    (folder / "whole.dcm").write_bytes(files["study-06"])
    (folder / "cut.dcm").write_bytes(files["study-03"][: len(files["study-03"]) // 2])
    (folder / "text.dcm").write_text("not an image")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def test_a_broken_file_fails_alone_with_a_typed_error(chest, damaged, tmp_path) -> None:
    summary = _run([damaged], chest, tmp_path / "out")
    by_status = {row.status: row for row in summary.results}
    failed = {row.error.code: row.error for row in summary.results if row.status == "failed"}
    assert set(failed) == {"pixel-data", "not-dicom"} and failed["pixel-data"].stage in (
        "read",
        "pixels",
    )
    assert by_status["ok"].instances[0].path.endswith("whole.dcm")
    assert by_status["skipped"].error.code == "not-dicom" and by_status["skipped"].skipped[
        0
    ].source.endswith("notes.txt")
    assert summary.exit_code == 1 and summary.counts["files"] == 4


def test_one_film_of_a_study_may_fail_and_the_study_says_so(chest, samples, tmp_path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(samples / "studies" / "study-06", folder)
    first = pydicom.dcmread(next(folder.rglob("*.dcm")))
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = (
        first.SOPInstanceUID[:-1] + "99"[: 65 - len(first.SOPInstanceUID)]
    )
    first.save_as(folder / "second.dcm")
    whole = (folder / "second.dcm").read_bytes()
    (folder / "second.dcm").write_bytes(whole[:-2000])
    (row,) = _run([folder], chest, tmp_path / "out").results
    assert row.status == "ok" and len(row.instances) == 1 and len(row.broken) == 1
    assert any("1 of the study's files" in warning for warning in row.warnings)


def test_a_zip_says_what_the_folder_says(chest, samples, tmp_path) -> None:
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", samples / "studies" / "study-06")
    zipped, plain = (
        _run([path], chest, tmp_path / str(i)).results[0]
        for i, path in enumerate((Path(archive), samples / "studies" / "study-06"))
    )
    assert (
        zipped.label == plain.label
        and zipped.instances[0].stored_sha256 == plain.instances[0].stored_sha256
    )


def test_ctrl_c_keeps_what_is_done(chest, samples, tmp_path) -> None:
    def stop(row: dict) -> None:
        raise KeyboardInterrupt

    found = index([samples / "studies" / name for name in ("study-06", "study-03")])
    summary = run(found, [chest], Options(tmp_path), on_study=stop)
    assert (
        summary.exit_code == 130 and len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    )
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["interrupted"] is True and record["counts"]["unreached_studies"] == 1
    resumed = run(found, [chest], Options(tmp_path, resume=True))
    assert (
        resumed.exit_code in (0, 3)  # done; generated films may be none of the model's own
        and len({row.study_uid for row in resumed.results}) == len(resumed.results) == 2
    )


def test_nothing_is_overwritten_unasked(chest, tmp_path) -> None:
    empty = index([])
    assert run(empty, [chest], Options(tmp_path)).exit_code == 3
    with pytest.raises(ConfigError, match="--overwrite"):
        run(empty, [chest], Options(tmp_path))
    run(empty, [chest], Options(tmp_path, overwrite=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        run(empty, [chest], Options(tmp_path / "file"))


def test_a_report_that_cannot_be_made_costs_no_result(chest, samples, tmp_path) -> None:
    def fail(*_: object) -> None:
        raise ShapeError("no such map")

    (row,) = _run(
        [samples / "studies" / "study-06"], chest, tmp_path, renderers={"report": fail}
    ).results
    assert (
        row.status == "ok"
        and "no report: shape: no such map" in row.warnings
        and (tmp_path / "run.json").is_file()
    )


def test_what_the_header_says_of_burned_in_names_reaches_the_renderers(
    chest, samples, tmp_path
) -> None:
    film = pydicom.dcmread(next((samples / "studies" / "study-06").glob("radiograph*.dcm")))
    said = []

    def render(result, card, folder) -> dict:
        said.append(result.instances[0].pixels.instance.burned_in_annotation)
        return {}

    for number, value in enumerate(("YES", "NO", None)):
        film.BurnedInAnnotation = value
        if value is None:
            del film.BurnedInAnnotation
        folder = tmp_path / str(number)
        folder.mkdir()
        film.save_as(folder / "film.dcm")
        _run([folder], chest, tmp_path / f"out {number}", renderers={"report": render})
    assert said == ["YES", "NO", None]
