"""Runs that are killed, continued, divided and repeated come to the rows of
one run from end to end.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medinv.analysis.result import StudyResult
from medinv.batch.ledger import begun_with
from medinv.batch.options import Options, Shard
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import ConfigError

RUN = [
    sys.executable,
    "-c",
    "from medinv.cli.main import main; main()",
    "classify",
    "--model",
    "phantom-opacity",
]


def _rows(folder: Path) -> list[dict]:
    """Rows without what depends on the hour: seconds,
    and the last bits of the round trip's error.
    """
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for row in rows:
        row["seconds"] = None
        if row["reconstruction"]:
            assert row["reconstruction"].pop("max_abs_error") < 0.05
    return json.loads(json.dumps(rows), parse_float=lambda text: round(float(text), 9))


@pytest.fixture(scope="module")
def whole(twenty, phantom, tmp_path_factory) -> list[dict]:
    """Rows of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    assert run(index([twenty]), [phantom], Options(out)).exit_code == 0
    return _rows(out)


def test_killed_at_any_moment_and_resumed_it_says_what_an_uninterrupted_run_says(
    twenty, whole, tmp_path
) -> None:
    chance, out, killed, after = random.Random(0), tmp_path / "out", 0, 0
    command = [*RUN, str(twenty), "--out", str(out), "--resume", "--readers", "1"]
    while killed < 4:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log, deadline = out / "run.log", time.monotonic() + 60
        while (
            process.poll() is None
            and time.monotonic() < deadline
            and not (log.is_file() and log.read_text().count(": ok") > after)
        ):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.02)
        process.kill()
        if process.wait() == 0:
            break
        killed, after = killed + 1, log.read_text().count(": ok")
    assert killed >= 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert _rows(out) == whole
    assert (out / "run.log").read_text().count(": ok") <= len(
        whole
    ) + killed  # at most the study in flight is done again


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(twenty, whole, tmp_path) -> None:
    command = [*RUN, str(twenty), "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log, deadline = tmp_path / "run.log", time.monotonic() + 60
    while not (log.is_file() and ": ok" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the run was over before it was interrupted")
    assert process.returncode == 130 and "--resume" in said
    counts = json.loads((tmp_path / "run.json").read_text())["counts"]
    assert (
        counts["images"] + counts["unreached_files"] == counts["files"] == 20
        and counts["rows"] == len(_rows(tmp_path)) > 0
    )
    assert subprocess.run([*command, "--resume"], capture_output=True, timeout=120).returncode == 0
    assert _rows(tmp_path) == whole


def test_shards_are_joined_by_the_last_of_them(twenty, whole, phantom, tmp_path) -> None:
    found, joined = index([twenty]), []
    for number in (2, 3, 1):
        summary = run(found, [phantom], Options(tmp_path, shard=Shard(number, 3)))
        counts = summary.counts
        assert counts["files"] + counts["other_shards_files"] == 20 and 0 < counts["rows"] < 20
        joined.append(summary.joined)
    assert joined == [False, False, True]
    assert _rows(tmp_path) == whole
    assert json.loads((tmp_path / "run.json").read_text())["counts"]["files"] == 20


def test_shards_of_different_options_are_not_joined(twenty, phantom, tmp_path) -> None:
    found = index([twenty])
    run(found, [phantom], Options(tmp_path, shard=Shard(1, 2)))
    with pytest.raises(ConfigError, match="not joined"):
        run(found, [phantom], Options(tmp_path, shard=Shard(2, 2), rule="mean"))


def test_resuming_does_what_is_new_changed_or_asked_for_and_nothing_else(
    write_film, phantom, tmp_path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for study in (1, 2, 3):
        write_film(folder / f"{study}.dcm", study)

    def again(**options) -> tuple[int, int]:
        made: list[StudyResult] = []
        summary = run(index([folder]), [phantom], Options(out, **options), on_study=made.append)
        assert len({row.study_uid for row in summary.results}) == len(summary.results)
        return len(made), len(summary.results)

    assert again() == (3, 3)
    assert again(resume=True) == (0, 3)
    whole = (folder / "2.dcm").read_bytes()
    (folder / "2.dcm").write_bytes(whole[:-1000])
    assert again(resume=True) == (1, 3)
    write_film(folder / "4.dcm", 4)
    (folder / "1.dcm").unlink()
    with pytest.raises(ConfigError, match="1 results here are of studies"):
        again(resume=True)  # a finished result is never dropped without a word
    write_film(folder / "1.dcm", 1)
    assert again(resume=True) == (2, 4)
    assert again(resume=True) == (0, 4)
    assert again(retry_failed=True) == (1, 4)
    assert again(resume=True, rule="mean") == (4, 4)
    assert again(overwrite=True) == (4, 4)


def test_too_many_failures_end_the_run(write_film, phantom, tmp_path) -> None:
    for study in range(1, 8):
        film = write_film(tmp_path / "in" / f"{study}.dcm", study)
        film.write_bytes(film.read_bytes()[:-1000])
    summary = run(index([tmp_path / "in"]), [phantom], Options(tmp_path / "out", max_failures=2))
    assert (
        summary.stopped == "too many failures"
        and summary.exit_code == 1
        and summary.counts["failed"] == 3
        and summary.counts["unreached_files"] == 4
    )
    assert (
        run(index([tmp_path / "in"]), [phantom], Options(tmp_path / "out", resume=True)).counts[
            "failed"
        ]
        == 7
    )


def test_the_log_names_nobody(samples, phantom, tmp_path) -> None:
    folder = tmp_path / "Doe^Jane"
    shutil.copytree(samples / "studies" / "study-01", folder)
    (folder / "broken.dcm").write_bytes(b"rubbish")
    summary = run(
        index([folder]), [phantom], Options(tmp_path / "out", phi=True, log=tmp_path / "log")
    )
    said = (tmp_path / "log").read_text()
    assert (
        "Doe" not in said
        and "broken.dcm" not in said
        and not any(row.study_uid in said for row in summary.results if row.status == "ok")
    )
    assert said.count(" ok, ") == summary.counts["classified"] and "not-dicom" in said


def test_resumed_without_its_reports_a_run_keeps_them_and_its_rows(
    write_film, phantom, tmp_path
) -> None:
    folder, out, made = tmp_path / "in", tmp_path / "out", []
    write_film(folder / "1.dcm", 1)

    def page(result, card, place: Path) -> dict:
        made.append(result.study_uid)
        (place / "page.html").write_text("page")
        return {"report": "page.html"}

    assert begun_with(out) == frozenset()
    run(index([folder]), [phantom], Options(out, renderers={"report": page}))
    assert begun_with(out) == {"report"} and len(made) == 1
    before = _rows(out)
    run(index([folder]), [phantom], Options(out, resume=True))
    assert _rows(out) == before and before[0]["report"] == "page.html"
    run(index([folder]), [phantom], Options(out, resume=True, renderers={"report": page}))
    assert _rows(out) == before and len(made) == 1
    both = {"report": page, "dicom": lambda result, card, place: {}}
    run(index([folder]), [phantom], Options(out, resume=True, renderers=both))
    assert len(made) == 2 and begun_with(out) == {"report", "dicom"}
