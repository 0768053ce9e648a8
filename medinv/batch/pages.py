"""A study's report from what classifying it left behind."""

from pathlib import Path

from medinv.files import pseudonym
from medinv.batch.reader import Film
from medinv.analysis.study import Outcome, Shown, image_key
from medinv.batch.workers import Reader, Request
from medinv.errors import DataError
from medinv.explanation.explain import Detail, explain
from medinv.models.density import Classifier
from medinv.report.background import Background
from medinv.report.content import ImageArrays, StudyContent, edge_letters, study_content
from medinv.report.json import write_json
from medinv.report.html import write_report
from medinv.report.pdf.document import write_pdf

EXPLAINED = 6  # images a study, those of highest probability first; the others are listed
DRAWN_FOREIGN = 2


def outcome_of(
    row: dict, films: list[Film], model: Classifier, reader: Reader, timeout: float
) -> Outcome:
    """The row with the images that its report draws, read once more at full size, so that a long study does not fill the memory.

    `films` are in the order of the row's instances. Raises the error of an image that can no longer be read.
    """
    positive = model.classes[1]
    ranked = sorted(
        zip(row["instances"], films),
        key=lambda item: (not item[0]["scope"]["in_scope"], -item[0]["probabilities"][positive]),
    )
    drawn = [item for item in ranked if item[0]["scope"]["in_scope"]][:EXPLAINED] or ranked[
        :DRAWN_FOREIGN
    ]
    wanted = {(film.instance.source, (film.frame or 1) - 1) for _, film in drawn}
    instances = {film.instance.source: film.instance for _, film in drawn}
    size = model.image_shape[1]
    read = reader.read(
        Request(0, tuple(instances.values()), (size,), display=True, only=frozenset(wanted)),
        timeout,
    )
    if read.broken:
        raise read.broken[0].error
    again = {(film.instance.source, film.frame): film for film in read.films}
    shown = {}
    for entry, film in drawn:
        pixels = again[film.instance.source, film.frame]
        if pixels.sha256 != film.sha256:
            raise DataError(
                "the image changed while the study was classified", path=film.instance.source
            )
        shown[image_key(entry)] = Shown(
            film.instance,
            pixels,
            pixels.inputs[size],
            entry["scope"]["in_scope"],
            entry["probabilities"][positive],
        )
    return Outcome(row, shown)


def content_of(outcome: Outcome, model: Classifier) -> StudyContent:
    """What every renderer says of the study. The first image in scope, which has the highest probability, is shown with all its background."""
    first = next((key for key, shown in outcome.shown.items() if shown.in_scope), None)
    return study_content(
        outcome.row,
        {key: _arrays(shown, model, full=key == first) for key, shown in outcome.shown.items()},
        model.card,
    )


def write_study_report(content: StudyContent, out: Path) -> str:
    """Write report.html, report.pdf and report.json to `reports/STUDY/MODEL` under `out`; returns the path of the first from there."""
    path = _folder(content) / "report.html"
    write_report(content, out / path, beside=("report.pdf", "report.json"))
    write_pdf(content, out / path.with_suffix(".pdf"))
    write_json(content, out / path.with_suffix(".json"))
    return path.as_posix()


def write_study_dicom(content: StudyContent, films: list[Film], out: Path) -> list[str]:
    """Write the DICOM results beside the report; returns their paths from `out`. `films` are in the order of the content's images."""
    from medinv.batch.dicom import write_dicom_results

    instances = {
        image.sop_uid: film.instance for image, film in zip(content.images, films, strict=True)
    }
    return [
        path.relative_to(out).as_posix()
        for path in write_dicom_results(content, instances, out / _folder(content))
    ]


def _folder(content: StudyContent) -> Path:
    study = content.study_uid or ""
    return (
        Path("reports")
        / (study if study.startswith("study-") else pseudonym(study, "study"))
        / content.model.name
    )


def _arrays(shown: Shown, model: Classifier, *, full: bool) -> ImageArrays:
    pixels, image = shown.pixels, shown.network_input[None]
    detail: Detail = "report" if full else "brief"
    explanation = explain(model, image, detail=detail) if shown.in_scope else None
    return ImageArrays(
        display=pixels.display,
        aspect=pixels.aspect,
        spacing=pixels.spacing,
        laterality=edge_letters(shown.instance.patient_orientation),
        network_input=shown.network_input,
        explanation=explanation,
        intake=f"{pixels.policy}; {model.card.intake}",
        background=Background(explanation.trace, explanation.neighbours, explanation.sanity)
        if explanation
        else Background(),
    )
