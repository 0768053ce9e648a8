"""Results of the shipped models, assembled as a run assembles them; made once for all tests."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import medinv
from medinv.analysis.result import ImageResult, StudyResult
from medinv.explanation.result import Explanation
from medinv.models.card import Card
from medinv.models.store import read_card
from medinv.report import write
from medinv.report.figures import Pictures, pictures

PHANTOM, CHEST = "phantom-opacity", "chest-xray"
STUDY, PATIENT = "1.2.3.77", "PAIR"


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


def _write_pair(samples: Path, folder: Path) -> None:
    """One study of two series: an opacity and a clear body, as of one patient."""
    for number, study in enumerate(("study-01", "study-03"), start=1):
        dataset = pydicom.dcmread(samples / "studies" / study / "radiograph.dcm")
        dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientName = STUDY, PATIENT, PATIENT
        dataset.PatientBirthDate = "20000101"
        dataset.SeriesInstanceUID = f"{STUDY}.{number}"
        dataset.SOPInstanceUID = f"{STUDY}.{number}.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"pair-{number}.dcm")


def _write_others(samples: Path, folder: Path) -> None:
    """A study whose pixels are cut off, and one that has no radiograph."""
    for name, uid in (("failed", "1.2.3.78"), ("skipped", "1.2.3.79")):
        dataset = pydicom.dcmread(samples / "studies" / "study-01" / "radiograph.dcm")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.1"
        dataset.SOPInstanceUID = f"{uid}.1.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if name == "failed":
            dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
        else:
            dataset.Modality = "MG"
        dataset.save_as(folder / f"{name}.dcm")


@pytest.fixture(scope="session")
def classified(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StudyResult]:
    """What renderers are given of sample studies by both models."""
    folder = tmp_path_factory.mktemp("studies")
    for study in ("study-01", "study-03"):
        shutil.copy(samples / "studies" / study / "radiograph.dcm", folder / f"{study}.dcm")
    _write_pair(samples, folder)
    _write_others(samples, folder)
    return [
        result
        for name in (PHANTOM, CHEST)
        for result in medinv.classify(folder, name, explain=True)
    ]


def _found(results: Sequence[StudyResult], model: str, path: str) -> StudyResult:
    (one,) = (
        result
        for result in results
        if result.model.name == model
        and any(
            path in source
            for source in (
                *(image.path for image in result.instances),
                *(problem.source for problem in (*result.skipped, *result.broken)),
            )
        )
    )
    return one


@pytest.fixture(scope="session")
def opacity(classified: list[StudyResult]) -> StudyResult:
    """An opacity that the model finds, with local evidence and all that stands beside."""
    return _found(classified, PHANTOM, "study-03")


@pytest.fixture(scope="session")
def clear(classified: list[StudyResult]) -> StudyResult:
    """A body without one, called clear."""
    return _found(classified, PHANTOM, "study-01")


@pytest.fixture(scope="session")
def normal(classified: list[StudyResult]) -> StudyResult:
    """A film called normal by another model, whose counterfactual fails its re-check."""
    return _found(classified, CHEST, "study-03")


@pytest.fixture(scope="session")
def outside(classified: list[StudyResult]) -> StudyResult:
    """A film that is none of the model's."""
    return _found(classified, CHEST, "study-01")


@pytest.fixture(scope="session")
def pair(classified: list[StudyResult]) -> StudyResult:
    """Two series of one study; the second image decides."""
    return _found(classified, PHANTOM, "pair-1")


@pytest.fixture(scope="session")
def failed(classified: list[StudyResult]) -> StudyResult:
    """A study that cannot be read."""
    return _found(classified, PHANTOM, "failed")


@pytest.fixture(scope="session")
def skipped(classified: list[StudyResult]) -> StudyResult:
    """A study that holds nothing for the model."""
    return _found(classified, PHANTOM, "skipped")


@pytest.fixture(scope="session")
def card_of() -> Callable[[StudyResult], Card]:
    """The card of the model that gave a result."""
    cards = {name: read_card(name) for name in (PHANTOM, CHEST)}
    return lambda result: cards[result.model.name]


@pytest.fixture(scope="session")
def rendered(card_of: Callable[[StudyResult], Card]) -> Callable[..., bytes]:
    """A result in one form, of its own card or another."""

    def make(
        result: StudyResult, form: str = "html", card: Card | None = None, phi: bool = False
    ) -> bytes:
        drawn = pictures(result, phi=phi)
        return write.RENDERERS[form](result, card or card_of(result), drawn)

    return make


@pytest.fixture
def words(rendered: Callable[..., bytes], tmp_path: Path) -> Callable[..., str]:
    """The words of a report as a page or as PDF."""

    def make(result: StudyResult, form: str = "html", card: Card | None = None) -> str:
        data = rendered(result, form, card)
        if form == "pdf":
            return " ".join(pdf_words(data, tmp_path / "report.pdf"))
        return Page(data.decode("utf-8")).text

    return make


@pytest.fixture(scope="session")
def drawn_pair(pair: StudyResult) -> Pictures:
    """The pictures of the study of two images."""
    return pictures(pair)


def first(result: StudyResult) -> ImageResult:
    """The image of a study that has one."""
    (image,) = result.instances
    return image


def evidence_of(image: ImageResult) -> np.ndarray:
    """What a report draws over the image."""
    local = image.explanation.local_evidence
    return local.locations if local else image.explanation.evidence.contributions
