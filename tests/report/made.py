"""Results as tests of reports change them, and pages and documents as they read them."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medinv.analysis.result import ImageResult, StudyResult
from medinv.explanation.result import Explanation


class Page(HTMLParser):
    """Elements and visible text of a page."""

    def __init__(self, source: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self._within = "", 0
        self.feed(source)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self._within += tag in ("style", "script")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        self._within -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text += data.replace("\u00a0", " ") + " "

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def pdf_words(data: bytes, path: Path) -> list[str]:
    """The words of each sheet, each on one line; skips the test without poppler."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on the path: install poppler-utils to read the PDF")
    path.write_bytes(data)
    command = ["pdftotext", "-raw", str(path), "-"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [re.sub(r"\s+", " ", sheet.replace("\u00a0", " ")) for sheet in read.split("\f")[:-1]]


def edited(result: StudyResult, number: int = 1, **parts: Any) -> StudyResult:
    """A result whose image has other fields; those of an explanation under `explanation`."""
    images = list(result.instances)
    image = images[number - 1]
    if isinstance(parts.get("explanation"), dict):
        parts["explanation"] = explanation_with(image.explanation, **parts["explanation"])
    images[number - 1] = image.model_copy(update=parts)
    return result.model_copy(update={"instances": tuple(images)})


def explanation_with(given: Explanation, **parts: Any) -> Explanation:
    """An explanation with other parts: a mapping changes fields of a part."""
    changed = {
        name: replace(getattr(given, name), **part) if isinstance(part, dict) else part
        for name, part in parts.items()
    }
    return replace(given, **changed)


def first(result: StudyResult) -> ImageResult:
    """The image of a study that has one."""
    (image,) = result.instances
    return image


def evidence_of(image: ImageResult) -> np.ndarray:
    """What a report draws over the image."""
    local = image.explanation.local_evidence
    return local.locations if local else image.explanation.evidence.contributions
