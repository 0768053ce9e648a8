"""A study's report from what classifying it left behind."""

from pathlib import Path

from medinv.batch.pseudonym import pseudonym
from medinv.batch.study import Outcome, Shown
from medinv.explain.image import explain_image
from medinv.models.classifier import Classifier
from medinv.report.content import ImageArrays, edge_letters, study_content
from medinv.report.html import write_report

EXPLAINED = 6  # images a study, those of highest probability first; the others are listed
DRAWN_FOREIGN = 2


def write_study_report(outcome: Outcome, model: Classifier, out: Path) -> str:
    """Write `reports/STUDY/MODEL/report.html` under `out`; returns its path from there."""
    ranked = sorted(outcome.shown.items(), key=lambda item: (not item[1].in_scope, -item[1].positive))
    inside = [item for item in ranked if item[1].in_scope][:EXPLAINED]
    drawn = inside or ranked[:DRAWN_FOREIGN]
    content = study_content(outcome.row, {uid: _arrays(shown, model) for uid, shown in drawn}, model.card)
    study = outcome.row["study_uid"]
    folder = study if study.startswith("study-") else pseudonym(study, "study")
    path = Path("reports") / folder / model.card.name / "report.html"
    write_report(content, out / path)
    return path.as_posix()


def _arrays(shown: Shown, model: Classifier) -> ImageArrays:
    pixels = shown.pixels
    return ImageArrays(
        display=pixels.display,
        aspect=pixels.aspect,
        spacing=pixels.spacing,
        laterality=edge_letters(shown.instance.patient_orientation),
        network_input=shown.network_input,
        explanation=explain_image(model, shown.network_input[None])[0] if shown.in_scope else None,
        intake=f"{pixels.policy}; {model.card.intake}",
    )
