"""What a run is given to write reports with: functions of a result, its card and a folder.

Each returns the fields of the result that it makes known, as `StudyResult` names them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from medinv.analysis.result import ImageResult, StudyResult
from medinv.files import pseudonym, write_whole
from medinv.models.card import Card
from medinv.report import html, json
from medinv.report.figures import Pictures, pictures
from medinv.report.pdf import document as pdf

Renderer = Callable[[StudyResult, Card, Pictures], bytes]
RENDERERS: dict[str, Renderer] = {"html": html.render, "pdf": pdf.render, "json": json.render}


class Reports:
    """Renderers of one run, which make the pictures and the PDF of a study once for all of them.

    phi: images are drawn even where their header says that the pixels name the patient.
    """

    def __init__(self, *, phi: bool = False):
        self.phi = phi
        self._instances: tuple[ImageResult, ...] | None = None  # of the study drawn last
        self._pictures = Pictures((), {})
        self._pdf: bytes | None = None

    def reports(self, result: StudyResult, card: Card, folder: Path) -> dict[str, Any]:
        """Write a report in every form of RENDERERS to `reports/STUDY/MODEL` under `folder`.

        Raises OutputError, and ShapeError for images that cannot be drawn.
        """
        place, drawn = _place(result, card), self._drawn(result)
        files = {form: render(result, card, drawn) for form, render in RENDERERS.items()}
        self._pdf = files["pdf"]
        for form, data in files.items():
            write_whole(folder / place / f"report.{form}", data)
        return {"report": (place / "report.html").as_posix()}

    def dicom(self, result: StudyResult, card: Card, folder: Path) -> dict[str, Any]:
        """Write the study's DICOM results to the same place; warns of names that are not readable.

        Raises HeaderError, OutputError, ShapeError and what reading a header raises.
        """
        from medinv.report.dicom.files import write_dicom_results  # brings highdicom: half a second

        place, drawn = _place(result, card), self._drawn(result)
        report = self._pdf or RENDERERS["pdf"](result, card, drawn)
        written = write_dicom_results(result, card, drawn, report, folder / place)
        paths = tuple(path.relative_to(folder).as_posix() for path in written.paths)
        return {"dicom": paths, "warnings": (*result.warnings, *written.warnings)}

    def _drawn(self, result: StudyResult) -> Pictures:
        """The pictures, those made last where they are of these very images."""
        if self._instances is not result.instances:
            self._pictures, self._pdf = pictures(result, phi=self.phi), None
            self._instances = result.instances
        return self._pictures


def reports(result: StudyResult, card: Card, folder: Path, *, phi: bool = False) -> dict[str, Any]:
    """`Reports.reports` of one study alone."""
    return Reports(phi=phi).reports(result, card, folder)


def dicom(result: StudyResult, card: Card, folder: Path, *, phi: bool = False) -> dict[str, Any]:
    """`Reports.dicom` of one study alone."""
    return Reports(phi=phi).dicom(result, card, folder)


def index_page(results: Iterable[StudyResult], path: Path) -> Path:
    """Write the page that lists a run's results, with links to the reports that they name.

    Raises OutputError.
    """
    return write_whole(path, html.render_index(results))


def _place(result: StudyResult, card: Card) -> Path:
    """Named by a hash, as a study's UID may point to the patient."""
    study = result.study_uid
    named = study if study.startswith("study-") else pseudonym(study, "study")
    return Path("reports") / named / card.name
