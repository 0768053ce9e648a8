"""What the shipped models say of the sample studies, condensed to what must not change.

Made anew, when a result changes on purpose, by `python -m tests.golden.condense`.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pydicom

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
MODELS = ("phantom-opacity", "chest-xray", "phantom-ct")
# Keys whose values are another every time, or on another machine: the rounding of float32.
UNSTEADY = ("seconds", "max_abs_error")
NOT_HASHED = ("EncapsulatedDocument", "EncapsulatedDocumentLength", "PixelData")
NUMBER = re.compile(r"[0-9a-f]{32,}|[-+−±]?[0-9][0-9.,]*(e[-+]?[0-9]+)?( ?× ?10)?[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]*")
DIGITS = 6  # significant digits that are kept: the last ones depend on the machine


class _Text(HTMLParser):
    """The words of a page, without styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self._within = [], 0

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self._within += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._within -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.words += data.split()


def run(out: Path, studies: Path = Path("sample_data/studies")) -> None:
    """Classify the sample studies with all models, as a user would."""
    chosen = [word for name in MODELS for word in ("--model", name)]
    command = [sys.executable, "-m", "medinv", "classify", str(studies), *chosen]
    made = subprocess.run(
        [*command, "--out", str(out), "--report", "--dicom"], cwd=ROOT, capture_output=True
    )
    if made.returncode:
        raise RuntimeError(f"exit code {made.returncode}: {made.stderr.decode()[-2000:]}")


def condensed(out: Path, model: str) -> dict[str, Any]:
    """Rows, reports, page texts and DICOM results of one model, ready for JSON."""
    lines = (out / "results.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["model"]["name"] == model]
    return {row["study_uid"]: _study(out, row) for row in rows}


def _study(out: Path, row: dict[str, Any]) -> dict[str, Any]:
    page = out / row["report"]
    facts = json.loads(page.with_suffix(".json").read_text())
    return {
        "row": _plain(row),
        "report": _plain(facts),
        "page": page_hash(page),
        "dicom": {Path(name).name: dicom_hash(out / name) for name in row["dicom"]},
    }


def _plain(value: Any) -> Any:
    """Without what is unsteady; numbers to a few digits, errors of rounding as 0."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in UNSTEADY}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return 0.0 if abs(value) < 1e-8 else float(f"{value:.{DIGITS}g}")
    return value


def page_hash(page: Path) -> str:
    """Of the words of a page, its numbers apart, which stand in report.json."""
    text = _Text()
    text.feed(page.read_text("utf-8"))
    words = NUMBER.sub("#", " ".join(text.words))
    words = words.replace("#.", "#")  # a full stop is part of some numbers
    return hashlib.sha256(words.encode()).hexdigest()


def dicom_hash(path: Path) -> str:
    """Of the header, times and pictures apart. The file's name is made of a hash of its facts."""
    header = pydicom.dcmread(path)
    lines = [
        re.sub(r"[0-9]+\.[0-9]+(e[-+]?[0-9]+)?", "#", str(element))
        for element in header.iterall()
        if element.VR not in ("DA", "TM", "DT") and element.keyword not in NOT_HASHED
    ]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(temporary) / "out")
        for name in MODELS:
            text = json.dumps(condensed(Path(temporary) / "out", name), sort_keys=True, indent=0)
            (FOLDER / f"{name}.json").write_text(text + "\n")
