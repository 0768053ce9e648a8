"""The files of a report, as `medinv.batch.run` has them written."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medinv.analysis.result import ImageResult, StudyResult
from medinv.files import pseudonym
from medinv.models.store import Card
from medinv.report.background import Background
from medinv.report.content import ImageArrays, StudyContent, edge_letters, study_content
from medinv.report.dicom.files import write_dicom_results
from medinv.report.entries import index_entry
from medinv.report.html import write_index, write_report
from medinv.report.json import write_json
from medinv.report.pdf.document import write_pdf


def reports(result: StudyResult, card: Card, folder: Path, *, phi: bool = False) -> dict[str, Any]:
    """Write report.html, report.pdf and report.json to `reports/STUDY/MODEL` under the folder.

    phi: images are drawn even where their header says that the pixels name the patient.
    """
    content, path = _content(result, card, phi), _place(result) / "report.html"
    write_report(content, folder / path, beside=("report.pdf", "report.json"))
    write_pdf(content, folder / path.with_suffix(".pdf"))
    write_json(content, folder / path.with_suffix(".json"))
    return {"report": path.as_posix()}


def dicom(result: StudyResult, card: Card, folder: Path, *, phi: bool = False) -> dict[str, Any]:
    """Write the DICOM results beside the report."""
    content = _content(result, card, phi)
    instances = {image.sop_uid: image.pixels.instance for image in result.instances if image.pixels}
    written = write_dicom_results(content, instances, folder / _place(result))
    return {"dicom": tuple(path.relative_to(folder).as_posix() for path in written)}


def index_page(results: Iterable[StudyResult], path: Path) -> Path:
    """Write a batch's page: one line a result."""
    return write_index([index_entry(result.row(), result.report) for result in results], path)


def _place(result: StudyResult) -> Path:
    study = result.study_uid
    named = study if study.startswith("study-") else pseudonym(study, "study")
    return Path("reports") / named / result.model.name


def _content(result: StudyResult, card: Card, phi: bool) -> StudyContent:
    drawn = {
        image.name: arrays
        for image in result.instances
        if (arrays := _arrays(image, card, phi)) is not None
    }
    return study_content(result.row(), drawn, card)


def _arrays(image: ImageResult, card: Card, phi: bool) -> ImageArrays | None:
    frame, explanation = image.pixels, image.explanation
    if frame is None or frame.display is None:
        return None
    (network_input,) = frame.inputs.values()
    withheld = frame.instance.burned_in_annotation == "YES" and not phi
    return ImageArrays(
        display=network_input if withheld else frame.display,
        aspect=frame.aspect,
        spacing=frame.spacing,
        laterality=edge_letters(frame.orientation),
        network_input=network_input,
        explanation=explanation,
        intake=f"{frame.policy}; {card.intake}",
        turn=frame.turn,
        background=Background(explanation.trace, explanation.neighbours, explanation.sanity)
        if explanation
        else Background(),
    )
