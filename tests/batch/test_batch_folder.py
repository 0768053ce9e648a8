"""The folder of a run: one run at a time, and nothing left of an earlier one that was replaced."""

import json
import os
import socket
import subprocess
import sys

import pytest

from medinv.batch.lock import FILE, locked
from medinv.batch.options import Options
from medinv.batch.results import opened
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import ConfigError, OutputError

HOLD = """
import sys, time
from pathlib import Path
from medinv.batch.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """A folder that a live process holds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield tmp_path / "out", process
    process.kill()
    process.wait()


@pytest.mark.parametrize("option", ["overwrite", "resume"])
def test_a_live_run_is_named_and_loses_nothing(held, option) -> None:
    folder, process = held
    (folder / "results.jsonl").write_text("")
    with (
        pytest.raises(ConfigError, match=f"process {process.pid} on"),
        opened(folder, **{option: True}),
    ):
        pass
    assert (folder / "results.jsonl").exists()


def test_the_lock_of_a_killed_run_is_taken_over_and_named(held, caplog) -> None:
    folder, process = held
    process.kill()
    process.wait()
    assert json.loads((folder / FILE).read_text())["pid"] == process.pid
    with locked(folder):
        assert json.loads((folder / FILE).read_text())["pid"] == os.getpid()
    assert f"took over the folder from process {process.pid} on" in caplog.text
    assert not (folder / FILE).exists()


def test_the_lock_of_another_machine_is_named_and_left(tmp_path) -> None:
    left = json.dumps({"pid": 1, "host": f"not-{socket.gethostname()}", "began": "today"})
    (tmp_path / FILE).write_text(left)
    with pytest.raises(ConfigError, match=r"process 1 on not-.*delete run.lock"), locked(tmp_path):
        pass
    assert (tmp_path / FILE).read_text() == left
    (tmp_path / FILE).write_text("rubbish")
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), locked(tmp_path / "file"):
        pass


def _render(result, card, folder):
    """Files where a report and a DICOM result would stand."""
    place = folder / "reports" / result.study_uid / card.name
    place.mkdir(parents=True, exist_ok=True)
    for name in ("report.html", "report.pdf", "report.json"):
        (place / name).write_text("")
    written = place / f"sr-{result.instances[0].sop_uid}.dcm"
    written.write_text("")
    return {
        "report": str((place / "report.html").relative_to(folder)),
        "dicom": (str(written.relative_to(folder)),),
    }


def test_overwriting_clears_what_the_run_did_not_write_again(write_film, phantom, tmp_path) -> None:
    films = [write_film(tmp_path / "in" / f"{study}.dcm", study) for study in (1, 2)]
    out = tmp_path / "out"
    run(index(films), [phantom], Options(out, {"report": _render}))
    first = {path.relative_to(out) for path in (out / "reports").rglob("*") if path.is_file()}
    kept = out / "reports" / "notes.txt"
    kept.write_text("the user's own")
    (out / "index.html").write_text("of the earlier run")
    summary = run(index(films[:1]), [phantom], Options(out, {"report": _render}, overwrite=True))
    left = {path for path in (out / "reports").rglob("*") if path.is_file()} - {kept}
    place = (out / summary.results[0].report).parent
    assert len(first) == 8 and len(left) == 4 and {path.parent for path in left} == {place}
    assert kept.exists() and not (out / "index.html").exists()
    run(index(films), [phantom], Options(out, overwrite=True))
    assert [path for path in (out / "reports").rglob("*") if path.is_file()] == [kept]


def test_resuming_leaves_all_that_stands(write_film, phantom, tmp_path) -> None:
    film, out = write_film(tmp_path / "in" / "1.dcm", 1), tmp_path / "out"
    run(index([film]), [phantom], Options(out, {"report": _render}))
    before = {path: path.stat().st_mtime_ns for path in (out / "reports").rglob("*")}
    run(index([film]), [phantom], Options(out, {"report": _render}, resume=True))
    assert {path: path.stat().st_mtime_ns for path in (out / "reports").rglob("*")} == before
