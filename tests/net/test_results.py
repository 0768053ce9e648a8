"""What `send FOLDER` sends: of a results folder what its results.jsonl names, no more."""

import json
from pathlib import Path

import pytest

from medinv.errors import ConfigError, DataError, MissingDataError
from medinv.net.results import dicom_files, results_named

DICOM = b"\0" * 128 + b"DICM"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of two studies, and what an earlier run left."""
    made = tmp_path / "out"
    for name in ("reports/a/m/sr.dcm", "reports/a/m/old.dcm", "reports/b/m/sr.dcm", "stray.dcm"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(DICOM)
    rows = [{"dicom": ["reports/a/m/sr.dcm"]}, {"dicom": []}, {"dicom": ["reports/b/m/sr.dcm"]}, {}]
    (made / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_only_what_the_results_name_is_sent(folder: Path) -> None:
    expected = ["reports/a/m/sr.dcm", "reports/b/m/sr.dcm"]
    assert names(dicom_files([folder]), folder) == expected
    assert names(dicom_files([folder, folder / "reports"]), folder) == expected
    assert names(dicom_files([folder.parent]), folder) == expected


def test_of_a_folder_within_only_what_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names(dicom_files([folder / "reports" / "a"]), folder) == ["reports/a/m/sr.dcm"]
    monkeypatch.chdir(folder / "reports")
    assert dicom_files([Path("a")]) == [Path("a/m/sr.dcm")]


def test_a_file_that_is_named_by_hand_is_sent(folder: Path) -> None:
    stray = folder / "stray.dcm"
    assert dicom_files([stray]) == [stray]


def test_another_folder_is_sent_whole(folder: Path) -> None:
    (folder / "results.jsonl").unlink()
    assert len(dicom_files([folder])) == 4


def test_a_named_file_that_is_missing_is_said(folder: Path) -> None:
    (folder / "reports/a/m/sr.dcm").unlink()
    with pytest.raises(MissingDataError, match=r"sr\.dcm"):
        dicom_files([folder])


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret.dcm", "reports/../../x.dcm"])
def test_nothing_outside_the_folder_is_sent(folder: Path, name: str) -> None:
    (folder / "results.jsonl").write_text(json.dumps({"dicom": [name]}))
    with pytest.raises(DataError, match="within the folder"):
        dicom_files([folder])


@pytest.mark.parametrize("text", ["{", "[]", '{"dicom": 7}', '{"dicom": [7]}', "\udcff"])
def test_results_that_cannot_be_read_are_said(folder: Path, text: str) -> None:
    (folder / "results.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError):
        results_named(folder)


def test_a_run_that_is_not_finished_is_not_sent(folder: Path) -> None:
    (folder / "results.jsonl").rename(folder / "ledger.jsonl")
    with pytest.raises(ConfigError, match="not finished"):
        dicom_files([folder])
