"""`medinv prepare` as it is typed: what is printed, what is written, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medinv.data.phantoms.studies import write_studies
from medinv.data.sets.info import read_info

MEDINV = (sys.executable, "-m", "medinv")


def medinv(*words: object, expected: int = 0) -> str:
    made = subprocess.run([*MEDINV, *map(str, words)], capture_output=True, text=True)
    assert made.returncode == expected, made.stdout + made.stderr
    assert "Traceback" not in made.stderr
    return made.stdout + made.stderr


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """Ten generated films of patients, and a list by study."""
    folder = tmp_path_factory.mktemp("studies")
    truth = write_studies(folder, 10, 3, ct=False, progress=lambda _: None)
    rows = [f"{one['study_uid']};{one['label']};{'FM'[n % 2]}" for n, one in enumerate(truth)]
    (folder / "labels.csv").write_text("study;label;sex\n" + "\n".join(rows))
    return folder


def test_studies_become_a_set_that_says_what_is_next(studies, tmp_path) -> None:
    said = medinv(
        *("prepare", studies / "studies", "--labels", studies / "labels.csv"),
        *("--out", tmp_path / "set", "--size", 64, "--split", "0.4,0.3,0.3"),
        *("--source", "generated", "--licence", "Apache-2.0", "--allow-absent"),
    )
    assert "column 'study', by study UID" in said and f"medinv init {tmp_path / 'set'}" in said
    assert "not for diagnosis" in said
    names = {path.name for path in (tmp_path / "set").iterdir()}
    assert names == {
        "images.npy",
        "manifest.parquet",
        "refused.csv",
        "dataset.json",
        "contact.png",
    }
    info = read_info(tmp_path / "set")
    assert sum(sum(part.values()) for part in info.counts.values()) == 10
    assert info.licence == "Apache-2.0" and info.columns == ("sex",)
    assert "--labels labels.csv" in info.command and str(tmp_path) not in info.command
    with Image.open(tmp_path / "set" / "contact.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 20 and sheet.width > 800
    again = medinv("data", "show", tmp_path / "set")
    assert info.sha256 in again and "generated" in again and "training" in again
    told = medinv(
        *("prepare", studies / "studies", "--labels", studies / "labels.csv"),
        *("--out", tmp_path / "set"),
        expected=2,
    )
    assert "--overwrite" in told


def test_usage_and_nothing_eligible_have_their_exit_codes(studies, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("x")
    out = ("--out", tmp_path / "set")
    labels = ("--labels", studies / "labels.csv")
    assert "no such file" in medinv("prepare", tmp_path / "none", *labels, *out, expected=2)
    assert "--labels" in medinv("prepare", studies / "studies", *out, expected=2)
    assert "not-dicom" in medinv("prepare", tmp_path / "a.txt", *labels, *out, expected=3)
    wrong = ("--labels", studies / "labels.csv", "--label-column", "grade")
    assert "study, label, sex" in medinv("prepare", studies, *wrong, *out, expected=2)
    assert not (tmp_path / "set").exists()


def test_a_broken_file_is_counted_and_ends_with_one(studies, tmp_path) -> None:
    source = next((studies / "studies").rglob("*.dcm")).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(source[:-500])
    said = medinv(
        *("prepare", studies / "studies", tmp_path / "cut.dcm"),
        *("--labels", studies / "labels.csv", "--out", tmp_path / "set", "--size", 32),
        *("--allow-absent", "--split", "0.4,0.3,0.3"),
        expected=1,
    )
    assert "left out: " in said
    assert sum(read_info(tmp_path / "set").refused.values()) >= 1


def test_an_interrupt_leaves_nothing_behind(studies, tmp_path) -> None:
    command = [
        *(*MEDINV, "prepare", studies / "studies", "--labels", studies / "labels.csv"),
        *("--out", tmp_path / "set", "--allow-absent"),
    ]
    run = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and run.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
