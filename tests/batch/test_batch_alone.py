"""A study gets the same report whatever else is done with it."""

import json
import shutil
from pathlib import Path

import pytest

from medinv.batch.options import Options, Shard
from medinv.batch.run import Summary, run
from medinv.data.dicom.index import index
from medinv.report.write import reports


@pytest.fixture(scope="module")
def films(samples, tmp_path_factory) -> dict[str, Path]:
    """Three studies of a film."""
    folder = tmp_path_factory.mktemp("films")
    names = ("study-01", "study-03", "study-04")
    return {
        name: Path(
            shutil.copy(samples / "studies" / name / "radiograph.dcm", folder / f"{name}.dcm")
        )
        for name in names
    }


def _facts(summary: Summary, folder: Path, film: Path) -> tuple[str, str]:
    """The report and the row of a film's study, times apart."""
    (result,) = (r for r in summary.results if r.instances[0].path == str(film))
    report = json.loads((folder / result.report).with_suffix(".json").read_text())
    row = result.row()
    for facts in (report, row):
        assert facts.pop("seconds")
    row.pop("report")
    return json.dumps(report), json.dumps(row)


def test_alone_in_a_batch_in_a_shard_and_resumed_a_study_has_one_report(
    films, phantom, tmp_path
) -> None:
    mine, *others = films.values()

    def classify(inputs: list[Path], name: str, **options) -> tuple[Summary, Path]:
        wanted = Options(tmp_path / name, {"report": reports}, **options)
        return run(index(inputs), [phantom], wanted), wanted.folder

    alone = _facts(*classify([mine], "alone"), mine)
    assert _facts(*classify([mine, others[0]], "two"), mine) == alone
    (number,) = (number for number in (1, 2) if Shard(number, 2).holds(index([mine]).studies[0]))
    shard = classify([mine, *others], "shards", shard=Shard(number, 2))
    assert _facts(*shard, mine) == alone
    classify([others[0]], "resumed")
    assert _facts(*classify([mine, others[0]], "resumed", resume=True), mine) == alone
