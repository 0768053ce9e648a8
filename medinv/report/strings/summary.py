"""The few words of the first screen: where, what would change it, how far to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medinv.explanation.result import Counterfactual, LocalEvidence, SmallestPart
from medinv.models.audited import NOT_AUDITED
from medinv.report.strings.counterfactual import counterfactual_name
from medinv.report.strings.image import MAP_COLOURS, no_place, slice_of
from medinv.report.strings.labels import BANDS, COLUMNS, DEPTHS
from medinv.report.strings.numbers import counted, edges, whole
from medinv.report.strings.study import CALLED

if TYPE_CHECKING:
    from medinv.analysis.result import Answer, ImageResult
    from medinv.models.card import Card, OperatingPoint
    from medinv.report.derived import Contrast, Subject, Uncertainty
    from medinv.report.figures import Panel

WHERE, CHANGES, TRUST = "Where", "What would change it", "How far to trust it"
PATIENT_SIDES = {"R": "patient's right", "L": "patient's left"}
NOT_EXPLAINED = "This image was not explained: no place is named, and no change was tried."
NO_CHANGE = "Nothing that was tried makes the answer {target}."
NO_PART = "No part of the {region} changes it."
CHANGE_COLOURS = ": green is brighter, purple darker."
MARKED = 0.25  # of the pixels changed, up to which the change is marked in the picture


def where(panel: Panel, two: Contrast) -> str:
    """The place in a line, or that none can be named and why.

    Sides are the patient's where the header says which edge is which.
    """
    drawn, told = panel.explained, panel.image.explanation
    if drawn is None or told is None:
        return NOT_EXPLAINED
    local = told.local_evidence
    if local and not local.valid:
        return f"No place can be named: {no_place(local)}."
    sums = drawn.evidence.balance
    side = two.towards if sums.largest > 0 else two.against
    within = f", in the {local.region_name}" if local and local.region_name else ""
    place = _place(sums.ninth, panel.letters, DEPTHS if panel.slice else BANDS)
    if panel.slice:
        place = f"{slice_of(panel.slice)}, {place}"
    place = f"{place[0].upper()}{place[1:]}"
    said = f"{place}{within}: speaks most for {side}."
    return f"{said} {_more_outside(local)}".strip()


def _more_outside(local: LocalEvidence | None) -> str:
    """That more of the answer comes from outside the region than from inside, where it does."""
    if local is None or local.region is None:
        return ""
    sign = 1.0 if local.logit > 0 else -1.0
    if sign * local.outside <= max(0.0, sign * float(local.locations.sum())):
        return ""
    return f"More of the evidence lies outside the {local.region_name}, which is not drawn."


def _place(
    ninth: tuple[int, int], letters: tuple[str, str] | None, bands: tuple[str, str, str]
) -> str:
    row, column = bands[ninth[0]], ninth[1]
    if column == 1:
        return f"{row} third, centre"
    named = PATIENT_SIDES.get(letters[column // 2]) if letters else None
    side = named or f"{COLUMNS[column]} of the image"
    return f"{row} third, {side}"


def is_placed(image: ImageResult) -> bool:
    """A place may be named: the evidence was checked, or there is no local evidence to check."""
    told = image.explanation
    local = told.local_evidence if told else None
    return told is not None and (local is None or local.valid)


def colours(two: Contrast) -> str:
    """What the colours of a map say."""
    return MAP_COLOURS.format(two.towards, two.against)


def change(edit: Counterfactual, of: Subject) -> tuple[str, str]:
    """What would change the answer, by its plain name, and what it takes; or that nothing did."""
    if not edit.valid:
        return NO_CHANGE.format(target=edit.target), ""
    name = counterfactual_name(edit, of)
    size = f"{whole(edit.changed)} of the image changed"
    return f"{name}: {edit.target}", f"{size}{CHANGE_COLOURS if is_local(edit) else '.'}"


def is_local(edit: Counterfactual) -> bool:
    """Little of the image changes, so that it can be marked where."""
    return edit.changed < MARKED


def smallest(part: SmallestPart | None, of: Subject) -> str:
    """The smallest part that changes the answer, in a line; empty where none was sought."""
    if part is None:
        return ""
    if part.edit is None:
        return NO_PART.format(region=of.region)
    return f"The smallest part of the {of.region} that changes it is {whole(part.share)} of them."


def audited(card: Card) -> str:
    """What the model looks at, in a sentence without figures; without an audit, that none knows."""
    return f"{card.audit.sentence.split(':')[0]}." if card.audit else NOT_AUDITED


def trust(told: Answer, sure: Uncertainty | None, point: OperatingPoint | None) -> tuple[str, ...]:
    """What test images like this one were, and what the operating point gave on them."""
    lines = []
    if sure and sure.observed:
        share = sure.observed.share
        images = counted(share.n, ("test image", "test images"))
        name = CALLED if told.others else told.name
        between = edges(sure.observed.low, sure.observed.high)
        lines.append(f"Of {images} told {between}, {whole(share.value)} had the label {name}.")
    if point:
        found, spared = whole(point.sensitivity.value), whole(point.specificity.value)
        lines.append(f"On test images: sensitivity {found}, specificity {spared}.")
    return tuple(lines)


def exactness(exact: bool) -> str:
    """Whether what is explained is this very image."""
    if exact:
        return "Exact: what decided decodes back to every pixel of this image."
    return "Not exact: the image does not decode back. Distrust the explanation."


def smallest_heading(part: SmallestPart, of: Subject) -> str:
    """That of the part, or that there is none."""
    if part.edit is None:
        return NO_PART.format(region=of.region)
    return f"The smallest part of the {of.region}: {part.target}"


def smallest_words(part: SmallestPart, of: Subject) -> tuple[str, ...]:
    """What was sought and how, and what was found."""
    filled = (
        f"What stands in the part comes from the training image labelled {part.target} that is "
        f"most like this one around the {of.region}; it belongs to somebody else."
    )
    if part.edit is None:
        return (
            f"The {of.region} were divided into {part.cells} cells. Even with all of them changed "
            f"the answer does not become {part.target}. {filled}",
        )
    return (
        f"The {of.region} were divided into {part.cells} cells; with these {part.chosen} changed, "
        f"{whole(part.share)} of the {of.region}, the answer is {part.target}.",
        "Stored as 8\u2011bit grey levels and classified anew; without any one of the cells the "
        "answer stays. A smaller part of other cells may exist.",
        filled,
        "It says what this model answers by, not where disease is, and need not convince any other "
        "network.",
    )


def smallest_alt(part: SmallestPart, of: Subject) -> str:
    """The part for those who do not see it."""
    return f"The part, {whole(part.share)} of the {of.region}, over the input."
