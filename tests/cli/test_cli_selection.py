"""`--dry-run` and `--explain-selection`: what would be classified and why not the rest,
nothing written, nobody named.
"""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = [sys.executable, "-c", "from medinv.cli.main import main; main()"]


def classify(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RUN, "classify", *map(str, words), "--model", "chest-xray"],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
    )


@pytest.fixture
def study(samples) -> Path:
    """A study of a film and of CT slices."""
    return samples / "studies" / "study-02"


def test_a_dry_run_shows_what_would_be_classified_and_writes_nothing(study, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    done = classify(study, tmp_path, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["yes", "2.1", "DX,"] in [line[:3] for line in lines] and ["no", "1.1", "CT,"] in [
        line[:3] for line in lines
    ]
    assert (
        "1 of 15 files would be classified" in done.stdout
        and "modality CT (this model reads" in done.stdout
    )
    assert "not-dicom" in done.stdout and "16 files: 15 images, 1 skipped, 0 broken" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_every_rule_is_explained_and_nobody_named(study, tmp_path) -> None:
    import pydicom

    header = pydicom.dcmread(study / "radiograph.dcm", stop_before_pixels=True)
    done = classify(study, "--dry-run", "--explain-selection", cwd=tmp_path)
    assert (
        "FAIL modality" in done.stdout
        and "pass image-type" in done.stdout
        and str(study / "ct" / "slice-14.dcm") in done.stdout
    )
    for secret in (
        header.StudyInstanceUID,
        header.SOPInstanceUID,
        header.StudyDescription,
        str(header.PatientName),
    ):
        assert secret not in done.stdout + done.stderr
    assert header.StudyInstanceUID in classify(study, "--dry-run", "--phi", cwd=tmp_path).stdout


def test_nothing_eligible_and_broken_files_have_their_exit_codes(study, tmp_path) -> None:
    assert classify(study / "ct", "--dry-run", cwd=tmp_path).returncode == 3
    (tmp_path / "text.dcm").write_text("not an image")
    broken = classify(tmp_path, "--dry-run", cwd=tmp_path)
    assert broken.returncode == 1 and "broken, not-dicom" in broken.stdout


def test_results_need_a_folder(study, tmp_path) -> None:
    done = classify(study, cwd=tmp_path)
    assert done.returncode == 2 and "--out" in done.stderr
