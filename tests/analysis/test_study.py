"""A study's result: references that are missing, files that do not add up, what may be shown."""

import shutil
from dataclasses import replace

import pytest

import medinv
from medinv.analysis.infer import predict
from medinv.analysis.result import StudyResult
from medinv.analysis.study import Analyst
from medinv.batch.plan import chosen_study
from medinv.data.dicom.index import index
from medinv.data.frame import InputSpec
from medinv.data.intake import FramesRead, ReadRequest, read_frames
from medinv.models.store import locate


@pytest.fixture
def film(write_film, tmp_path):
    return write_film(tmp_path / "in" / "film.dcm", 1)


def _model_folder(to, *, without=(), foreign=()):
    """The shipped phantom model under another name, without some files, or with another model's."""
    shutil.copytree(locate("phantom-opacity"), to)
    for name in without:
        (to / name).unlink()
    for name in foreign:
        shutil.copy(locate("chest-xray") / name, to / name)
    return to


def test_a_model_folder_of_any_name_anywhere_keeps_its_reference(
    film, tmp_path, monkeypatch
) -> None:
    folder = _model_folder(tmp_path / "runs" / "another name")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    model = medinv.load(folder)
    assert model.reference is not None and model.reference_missing is None
    (result,) = medinv.classify(film, model, explain=True)
    (shipped,) = medinv.classify(film, "phantom-opacity", explain=True)
    assert not [warning for warning in result.warnings if "reference" in warning]
    for one in (result, shipped):
        explanation = one.instances[0].explanation
        assert explanation.neighbours is not None
    ways = {one.instances[0].explanation.counterfactual.target for one in (result, shipped)}
    assert (
        len(ways) == 1 and result.instances[0].probabilities == shipped.instances[0].probabilities
    )


@pytest.mark.parametrize("change", [{"without": ["cases.json"]}, {"foreign": ["cases.json"]}])
def test_a_missing_or_foreign_reference_is_a_warning_in_the_row(film, tmp_path, change) -> None:
    model = medinv.load(_model_folder(tmp_path / "model", **change))
    assert model.reference is None
    (result,) = medinv.classify(film, model)
    assert (
        result.status == "ok" and result.warnings[-1] == f"no reference: {model.reference_missing}"
    )


def _result(phantom, instances, read: FramesRead, **chosen) -> StudyResult:
    study = index(instances).studies[0]
    given = replace(chosen_study(study, phantom), **chosen)
    predictions = predict(phantom, [frame.input for frame in read.frames])
    return Analyst.of(phantom).result(given, read, predictions)


def _read(phantom, film) -> FramesRead:
    (instance,) = index([film]).instances
    request = ReadRequest((instance,), (InputSpec.of(phantom.image_shape),))
    return FramesRead(0, list(read_frames(instance, request)))


def test_an_image_that_is_lost_or_doubled_fails_its_study_by_name(phantom, film) -> None:
    whole = _read(phantom, film)
    assert _result(phantom, [film], whole).status == "ok"
    for frames in ([], whole.frames * 2):
        result = _result(phantom, [film], FramesRead(0, frames))
        assert result.status == "failed" and result.error.code == "unaccounted"
        assert result.label is None and not result.instances
        assert [one.source for one in result.broken] == [str(film)]
    lost = _result(phantom, [film], whole, files=2)
    assert lost.status == "failed" and "2 files were given, 1 were looked at" in lost.error.message


def test_a_row_read_back_is_the_result_without_pixels(phantom, film) -> None:
    result = _result(phantom, [film], _read(phantom, film))
    row = result.row()
    assert next(iter(row)) == "schema" and row["schema"] == "medinv-result-2"
    assert "pixels" not in row["instances"][0] and "explanation" not in row["instances"][0]
    again = StudyResult.model_validate(row)
    assert again.row() == row and again.instances[0].pixels is None
    assert result.instances[0].pixels.instance.source == str(film)
