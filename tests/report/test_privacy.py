"""From DICOM to every file of a run: no name, ID, birth date or accession number,
and a header's markup is nowhere code.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from medinv.cli.main import app

SECRETS = {
    "PatientName": "Doe^Jane<script>alert(1)</script>",
    "PatientID": "SECRET-77",
    "PatientBirthDate": "20200301",
    "AccessionNumber": "ACC-4242",
    "ReferringPhysicianName": "Roe^Richard",
    "InstitutionName": "St. Nowhere",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory, samples) -> Path:
    """A sample study with identifiers of a person in its header, classified with reports."""
    folder = tmp_path_factory.mktemp("named")
    dataset = pydicom.dcmread(next((samples / "studies" / "study-03").glob("radiograph*.dcm")))
    for keyword, value in SECRETS.items():
        setattr(dataset, keyword, value)
    (folder / "in").mkdir()
    dataset.save_as(folder / "in" / "image.dcm")
    outcome = CliRunner().invoke(
        app,
        [
            "classify",
            str(folder / "in"),
            "--model",
            "phantom-opacity",
            "--out",
            str(folder / "out"),
            "--report",
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    return folder / "out"


def _words(path: Path) -> str:
    if path.suffix != ".pdf":
        return path.read_bytes().decode("utf-8", "replace")
    about = subprocess.run(
        ["pdfinfo", str(path)], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    return (
        about
        + subprocess.run(
            ["pdftotext", str(path), "-"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    )


def test_no_file_names_the_patient(written):
    files = [
        path
        for path in written.rglob("*")
        if path.is_file() and (path.suffix != ".pdf" or shutil.which("pdftotext"))
    ]
    assert {"report.html", "report.json", "index.html", "results.jsonl"} <= {
        path.name for path in files
    }
    for path in files:
        words = _words(path)
        for secret in (
            "Doe^",
            "alert(1)",
            "SECRET-77",
            "20200301",
            "ACC-4242",
            "Roe^",
            "St. Nowhere",
        ):
            assert secret not in words, (path.name, secret)


def test_every_report_exists_in_three_forms_under_names_that_are_hashes(written):
    (folder,) = (written / "reports").iterdir()
    assert re.fullmatch("study-[0-9a-f]{16}", folder.name)
    assert {path.name for path in (folder / "phantom-opacity").iterdir()} >= {
        "report.html",
        "report.pdf",
        "report.json",
    }
    for path in (folder / "phantom-opacity").glob("report.*"):
        if path.suffix != ".pdf" or shutil.which("pdftotext"):
            assert "not for diagnosis" in _words(path)
