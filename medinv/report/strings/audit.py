"""Words of an audit's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medinv.models.audited import NOT_AUDITED
from medinv.report.strings.numbers import counted, percent

if TYPE_CHECKING:
    from medinv.audit.examples import Shown
    from medinv.audit.result import Audit
    from medinv.models.card import Card

AUDIT_TITLE = "medinv audit"
AUDIT_HEADLINES = {
    "region": "By the {region}",
    "mostly-region": "Mostly by the {region}",
    "both": "By the {region} and its surround",
    "surround": "Largely by the surround",
    "not-shown": "Not shown",
}
DECIDES_BY = "What this model decides by"
LOOKS_AT, AUDITED = "What it looks at", "Audited"
CAUTIONS_HEADING = "Know before you trust it"
EXAMPLES_HEADING = "The same images, changed"
EXAMPLES_READING = (
    "Each row is one image. Below each picture stands the model's evidence for its answer: "
    "orange speaks for it, blue against it; full colour is the same within a row."
)
EXAMPLES_PIXELS = "The pictures are images of the data set: pass the page on as you may the data."
FIGURES_HEADING = "All figures"
SUBGROUPS_HEADING = "By subgroup"
LEFT_OUT_HEADING = "Not measured"
HOW_MADE = "How this audit was made"
COLUMN, IMAGES_HEAD = "Column", "Images"
AUC_HEAD, ACCURACY_HEAD = "AUC", "Accuracy"
CHANCE_NOTE = "0.5 is chance"
DOTS_ALT = "Figures with their 95 % intervals on a scale from {low} to 1"
AUDIT_QUICK = "A quick audit: fewer images, wider intervals."


def audit_headline(audit: Audit) -> str:
    """The verdict in a few words."""
    return AUDIT_HEADLINES[audit.verdict.kind].format(region=audit.region.name)


def audit_of(audit: Audit) -> str:
    """What was audited on what."""
    patients = counted(audit.data.patients, ("patient", "patients"))
    images = counted(audit.data.images, (f"{audit.data.part} image", f"{audit.data.part} images"))
    region = f" Region: {audit.region.name}, {audit.region.origin}." if audit.region.name else ""
    return f"{images} of {patients}: {audit.data.source}.{region}"


def audit_answer(shown: Shown) -> str:
    """The model's answer to one picture."""
    return "no label" if shown.flagged else shown.called


def audit_probability(shown: Shown) -> str:
    """The probability behind an answer; empty where none may be told."""
    return "" if shown.flagged else f"{shown.told} {percent(shown.probability)}"


def audit_alt(shown: Shown, truth: str) -> str:
    """A picture for those who do not see it."""
    return f"An image of {truth}, {shown.name}; the answer is {audit_answer(shown)}"


def audit_origin(audit: Audit) -> tuple[tuple[str, str], ...]:
    """Names and values that say how the figures came to be."""
    return (
        ("Weights, SHA-256", audit.model.weights_sha256),
        ("Data, SHA-256", audit.data.sha256),
        ("Seed", str(audit.seed)),
        ("Evidence by", audit.evidence_by),
        ("medinv", audit.medinv),
        ("Seconds", f"{audit.seconds:.0f}"),
    )


def looks_at(card: Card) -> str:
    """What a card says of its model's audit, in a sentence; that it has none where it has none."""
    return card.audit.sentence if card.audit else NOT_AUDITED


def audited_on(card: Card) -> str:
    """On what a model was audited; empty where it was not."""
    found = card.audit
    if found is None:
        return ""
    images = counted(found.images, (f"{found.part} image", f"{found.part} images"))
    patients = counted(found.patients, ("patient", "patients"))
    return f"{images} of {patients}{', quickly' if found.quick else ''}"
