"""Decoders that crash or hang, files that vanish, full disks, too little memory:
one file or study is lost, never the batch.
"""

import errno
import os
from pathlib import Path

import pytest

from medinv.analysis import explained
from medinv.analysis.study import Analyst
from medinv.batch.ledger import Ledger
from medinv.batch.lock import locked
from medinv.batch.options import Options
from medinv.batch.run import Summary, run
from medinv.data.dicom.index import index
from medinv.errors import ConfigError, OutputError
from medinv.models.store import load
from medinv.report import write
from medinv.report.dicom import results

# What the reading processes load when they start: files are named after what befalls them.
FAULTY = """
import os, signal, time
import medinv.data.dicom.pixels as pixels

def faulty(instance, read=pixels.read_frames):
    name = os.path.basename(instance.source)
    if name == "crash.dcm":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang.dcm":
        time.sleep(3600)
    if name == "vanish.dcm":
        os.remove(instance.location.path)
    if name == "bug.dcm":
        raise KeyError("unforeseen")
    return read(instance)

pixels.read_frames = faulty
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def _run(folder: Path, model, out: Path, **options) -> Summary:
    return run(index([folder]), [model], Options(out, **options))


def test_crashes_hangs_and_vanished_files_cost_only_themselves(
    faulty, write_film, phantom, tmp_path
) -> None:
    folder = tmp_path / "in"
    for study, name in enumerate(
        ("a", "crash", "b", "hang", "c", "vanish", "d", "bug", "e"), start=1
    ):
        write_film(folder / f"{name}.dcm", study)
    summary = _run(folder, phantom, tmp_path / "out", timeout=3, readers=2)
    codes = {
        row.broken[0].source.split("/")[-1]: row.error.code
        for row in summary.results
        if row.status == "failed"
    }
    assert codes == {
        "crash.dcm": "crashed",
        "hang.dcm": "timeout",
        "vanish.dcm": "missing",
        "bug.dcm": "pixel-data",
    }
    assert (
        summary.counts["classified"] + summary.counts["out_of_scope"] == 5
        and summary.counts["broken_files"] == 4
        and summary.exit_code == 1
    )


def test_a_crash_within_a_study_costs_one_film(faulty, write_film, phantom, tmp_path) -> None:
    for image, name in enumerate(("first", "crash", "last"), start=1):
        write_film(tmp_path / "in" / f"{name}.dcm", 1, image)
    (row,) = _run(tmp_path / "in", phantom, tmp_path / "out").results
    assert (
        row.status == "ok"
        and len(row.instances) == 2
        and [b.code for b in row.broken] == ["crashed"]
    )


def test_a_study_that_hangs_is_all_of_it_timed_out(faulty, write_film, phantom, tmp_path) -> None:
    for image, name in enumerate(("first", "hang", "last"), start=1):
        write_film(tmp_path / "in" / f"{name}.dcm", 1, image)
    (row,) = _run(tmp_path / "in", phantom, tmp_path / "out", timeout=2).results
    assert (
        row.status == "failed"
        and not row.instances
        and [b.code for b in row.broken] == ["timeout"] * 3
    )


def test_what_needs_more_memory_than_allowed_is_refused_by_name(
    write_film, phantom, tmp_path
) -> None:
    write_film(tmp_path / "in" / "film.dcm", 1)
    (row,) = _run(tmp_path / "in", phantom, tmp_path / "out", memory=1000).results
    assert row.status == "failed" and row.error.code == "memory" and "--memory" in row.error.message
    (row,) = _run(tmp_path / "in", phantom, tmp_path / "out", retry_failed=True).results
    assert row.status == "ok"


class _Full:
    """A file on a disk that is full after some lines: of the next but a part is written."""

    def __init__(self, stream, lines: int):
        self._stream, self._left = stream, lines

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, data) -> int:
        self._left -= 1
        if self._left == 0:
            return self._stream.write(data[:20])
        if self._left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._stream.write(data)


def test_a_full_disk_keeps_what_is_done_and_a_resumed_run_does_the_rest(
    twenty, phantom, tmp_path, monkeypatch
) -> None:
    keep = Ledger.keep

    def filled(ledger: Ledger, *slots, **failed):
        ledger._stream = _Full(ledger._stream, lines=10)
        return keep(ledger, *slots, **failed)

    monkeypatch.setattr(Ledger, "keep", filled)
    with pytest.raises(OutputError, match="--resume"):
        _run(twenty, phantom, tmp_path)
    monkeypatch.undo()
    made = []
    summary = run(index([twenty]), [phantom], Options(tmp_path, resume=True), on_study=made.append)
    assert 0 < len(made) < 20 and len(summary.results) == 20 and summary.exit_code == 0


def test_tables_on_a_full_disk_are_not_left_half_written(
    twenty, phantom, tmp_path, monkeypatch
) -> None:
    def full(stream: int, sync=os.fsync) -> None:
        if ".results.csv." in os.readlink(f"/proc/self/fd/{stream}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(stream)

    monkeypatch.setattr("medinv.files.os.fsync", full)
    with pytest.raises(OutputError, match="--resume"):
        _run(twenty, phantom, tmp_path)
    assert not (tmp_path / "run.json").exists() and not (tmp_path / "results.csv").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    monkeypatch.undo()
    assert _run(twenty, phantom, tmp_path, resume=True).counts["rows"] == 20


def test_two_runs_do_not_write_into_one_folder(twenty, phantom, tmp_path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match="another run"):
        _run(twenty, phantom, tmp_path, resume=True)


def _cut(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][: len(lines[-1]) // 2]


def _no_ledger(lines: list[bytes]) -> None:
    lines[:] = [b"no ledger\n"] * 100


def _damaged_amid(lines: list[bytes]) -> None:
    lines[5] = lines[5][40:]


@pytest.mark.parametrize("damage, made", [(_cut, 1), (_no_ledger, None), (_damaged_amid, None)])
def test_a_line_that_was_cut_is_done_again_and_a_damaged_ledger_is_refused(
    twenty, tiny_folder, tmp_path, damage, made
) -> None:
    tiny = load(tiny_folder)
    _run(twenty, tiny, tmp_path)
    rows, path = (tmp_path / "results.jsonl").read_bytes(), tmp_path / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    damage(lines)
    path.write_bytes(b"".join(lines))
    seen = []
    again = Options(tmp_path, resume=True)
    if made is None:
        with pytest.raises(OutputError, match="--overwrite"):
            run(index([twenty]), [tiny], again)
        assert _run(twenty, tiny, tmp_path, overwrite=True).counts["rows"] == 20
        return
    assert run(index([twenty]), [tiny], again, on_study=seen.append).counts["rows"] == 20
    assert len(seen) == made and len((tmp_path / "results.jsonl").read_bytes()) > 0.9 * len(rows)


def _first_call_fails(work):
    """A function whose first call meets an error that nobody foresaw, and that quotes a patient."""
    calls = []

    def planted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("Doe^Jane")
        return work(*args, **kwargs)

    return planted


@pytest.mark.parametrize(
    ("owner", "name", "what", "place"),
    [
        (write.RENDERERS, "html", "report", "report/write.py"),
        (results, "structured_report", "dicom", "report/dicom/results.py"),
        (explained, "explain", "report", "analysis/explained.py"),
    ],
    ids=["page", "object", "explanation"],
)
def test_an_error_of_our_own_in_a_report_is_a_warning_of_its_study(
    write_film, phantom, tmp_path, monkeypatch, owner, name, what, place
) -> None:
    if isinstance(owner, dict):
        monkeypatch.setitem(owner, name, _first_call_fails(owner[name]))
    else:
        monkeypatch.setattr(owner, name, _first_call_fails(getattr(owner, name)))
    for study in (1, 2):
        write_film(tmp_path / "in" / f"{study}.dcm", study)
    once = write.Reports()
    renderers = {"report": once.reports, "dicom": once.dicom}
    summary = _run(tmp_path / "in", phantom, tmp_path / "out", renderers=renderers)
    assert summary.counts["rows"] == 2
    first, second = summary.results
    (warning,) = first.warnings
    assert warning.startswith(f"no {what}: internal: KeyError at medinv/{place}:")
    assert first.status == "ok" and not second.warnings and second.report and second.dicom
    assert bool(first.dicom) == (what == "report" and place.startswith("report"))
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"Doe^Jane" not in path.read_bytes()


@pytest.mark.parametrize("name", ["_image", "_round_trip"])
def test_an_error_of_our_own_in_an_analysis_fails_its_study_alone(
    write_film, phantom, tmp_path, monkeypatch, name
) -> None:
    monkeypatch.setattr(Analyst, name, _first_call_fails(getattr(Analyst, name)))
    for study in (1, 2):
        write_film(tmp_path / "in" / f"{study}.dcm", study)
    first, second = _run(tmp_path / "in", phantom, tmp_path / "out").results
    assert (first.status, first.error.code, second.status) == ("failed", "internal", "ok")
    assert first.error.message.startswith("KeyError at medinv/analysis/study.py:")
    assert len(first.broken) == 1 and "Doe^Jane" not in first.model_dump_json()


def test_an_error_of_our_own_in_the_network_fails_its_study_alone(
    write_film, phantom, tmp_path, monkeypatch
) -> None:
    def planted(x):
        raise IndexError("Doe^Jane")

    monkeypatch.setattr(phantom, "read", planted)
    write_film(tmp_path / "in" / "1.dcm", 1)
    (row,) = _run(tmp_path / "in", phantom, tmp_path / "out").results
    assert row.status == "failed" and row.error.code == "internal"
    assert row.error.message.startswith("IndexError at medinv/analysis/infer.py:")
