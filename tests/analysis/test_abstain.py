"""`classify --abstain`: studies whose set of classes is not the one called alone are undecided."""

import csv
import json
import shutil

import pytest
from typer.testing import CliRunner

import medinv
from medinv.analysis.abstain import SEVERAL
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.cli.main import app
from medinv.data.dicom.index import index
from medinv.errors import ConfigError
from medinv.models.conformal import Conformal
from medinv.models.store import keep_conformal, locate


def _model(to, *rows: tuple[float, float]):
    """The phantom model with these thresholds for errors of 5 % and 20 %, or with none."""
    shutil.copytree(locate("phantom-opacity"), to)
    given = Conformal(errors=(0.05, 0.2), thresholds=rows, images=(90, 90)) if rows else None
    keep_conformal(to, given)
    return to


def _classified(folder, film, out, error: float):
    return run(index([film]), [medinv.load(folder)], Options(out, abstain=error)).results


@pytest.fixture
def film(write_film, tmp_path):
    return write_film(tmp_path / "in" / "film.dcm", 1)


def test_only_a_set_of_the_called_class_alone_is_decided(film, tmp_path) -> None:
    (plain,) = medinv.classify(film, "phantom-opacity")
    assert plain.plausible is None and not plain.undecided and "plausible" not in plain.row()
    called = plain.label
    alone = tuple(0.0 if name == called else 1.0 for name in plain.probabilities)
    other = tuple(1.0 - t for t in alone)
    model = _model(tmp_path / "both", (0.0, 0.0), alone)
    (wide,) = _classified(model, film, tmp_path / "wide", 0.05)
    assert wide.plausible == ("clear", "opacity") and wide.undecided
    assert wide.warnings[-1].startswith("undecided: clear or opacity at an error of 5%")
    assert (wide.label, wide.outcome) == (called, "undecided")
    (sure,) = _classified(model, film, tmp_path / "sure", 0.2)
    assert sure.plausible == (called,) and not sure.undecided and sure.outcome == called
    odd = _model(tmp_path / "odd", (1.0, 1.0), other)
    (none,) = _classified(odd, film, tmp_path / "none", 0.05)
    assert none.plausible == () and "undecided: no class" in none.warnings[-1]
    (against,) = _classified(odd, film, tmp_path / "against", 0.2)
    assert against.undecided and called not in against.plausible


def test_a_study_of_several_images_says_that_the_bound_is_on_images(write_film, tmp_path) -> None:
    for number in (1, 2):
        write_film(tmp_path / "in" / f"{number}.dcm", 1, image=number)
    model = _model(tmp_path / "model", (0.0, 0.0), (0.0, 0.0))
    (result,) = _classified(model, tmp_path / "in", tmp_path / "out", 0.05)
    assert len(result.instances) == 2 and result.warnings[-1] == SEVERAL


def test_the_command_files_sets_and_what_is_undecided(film, tmp_path) -> None:
    model = _model(tmp_path / "model", (0.0, 0.0), (0.0, 0.0))
    words = ["classify", str(film), "--model", str(model), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--abstain", "0.05", "--readers", "1"])
    assert done.exit_code == 0 and "undecided" in done.stdout
    with open(tmp_path / "out" / "results.csv") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["plausible"], row["undecided"]) == ("clear|opacity", "True")
    filed = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert filed["plausible"] == ["clear", "opacity"]


def test_a_model_or_an_error_without_thresholds_is_refused_before_anything_is_read(
    film, tmp_path
) -> None:
    words = ["classify", str(film), "--out", str(tmp_path / "out"), "--abstain"]
    bare, kept = _model(tmp_path / "bare"), _model(tmp_path / "kept", (0.1, 0.1), (0.2, 0.2))
    without = CliRunner().invoke(app, [*words, "0.05", "--model", str(bare)])
    assert isinstance(without.exception, ConfigError)
    assert "publishes it anew" in str(without.exception)
    unknown = CliRunner().invoke(app, [*words, "0.03", "--model", str(kept)])
    assert isinstance(unknown.exception, ConfigError)
    assert "expected an error of 0.05, 0.2; got 0.03" in str(unknown.exception)
    assert not (tmp_path / "out").exists()
