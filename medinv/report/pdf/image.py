"""A page of the PDF for one image: the image, its evidence, the checks and the counterfactual."""

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Spacer

from medinv.models.card import Card
from medinv.report import derived, drawing, strings
from medinv.report.derived import Contrast
from medinv.report.figures import EvidenceMap, Explained, Panel
from medinv.report.pdf.drawings import Figure, Ruler
from medinv.report.pdf.parts import WIDTH, boxes, columns, text
from medinv.report.pdf.screen import OVERLAY, scope

HALF = (WIDTH - 12) / 2


def image_page(panel: Panel, card: Card, first: list[Flowable], *, heading: bool) -> list[Flowable]:
    """All that is said of one image but its proof; `first` comes before the steps to the number."""
    drawn, image = panel.explained, panel.image
    head = _heading(panel, card) if heading else []
    box = (HALF, 60 * mm)
    if drawn is None:
        left = [*_stored(panel, box), text(intake_words(panel, card), "quiet")]
        right = [
            text(strings.INPUT, "h3"),
            Figure(panel.input, [(panel.input, 1)], box, strings.INPUT),
        ]
        name = text(strings.PICTURE_HEADING, "h2")
        how = [text(strings.HOW_HEADING, "h2")] if first and image.called else []
        return [*head, name, columns([left, right], WIDTH), *how, *first]
    two, by = derived.contrast(image, card), derived.judged_by(card)
    return [
        *head,
        text(strings.PICTURES_HEADING, "h2"),
        columns([_stored(panel, box), _evidence(panel, drawn, two, box)], WIDTH),
        *_slices(panel, drawn),
        CondPageBreak(80 * mm),
        *_counterfactual(panel, drawn, card),
        text(strings.HOW_HEADING, "h2"),
        *first,
        *_how(panel, two, card),
        *_checks(panel, drawn, two, by),
        *_neighbours(panel),
    ]


def overlay(
    panel: Panel, evidence: EvidenceMap, two: Contrast, box: tuple[float, float]
) -> list[Flowable]:
    """Evidence over the image, with its colour bar."""
    layers = [(panel.native, 1.0), (evidence.drawn.picture, OVERLAY)]
    figure = Figure(panel.native, layers, box, strings.EVIDENCE_BY[evidence.block])
    words = (two.against, strings.evidence_unit(evidence.block), two.towards)
    bar = drawing.colour_bar(drawing.EVIDENCE)
    return [figure, Ruler(bar, evidence.drawn, words, figure.width, OVERLAY)]


def intake_words(panel: Panel, card: Card) -> str:
    """What was done with the image between the file, this page and the network."""
    warned = "".join(f" {strings.WARNING}: {warning}." for warning in panel.image.warnings)
    return strings.native_note(panel, derived.intake(panel.image, card)) + warned


def _heading(panel: Panel, card: Card) -> list[Flowable]:
    image = panel.image
    said = strings.image_heading(panel.number, image.called, image.answer)
    return [text(said, "h2"), *scope(image, card)]


def _stored(panel: Panel, box: tuple[float, float]) -> list[Flowable]:
    length = panel.bar.length_mm if panel.bar else None
    scale = strings.scale_note(panel.frame.spacing, length)
    native = [(panel.native, 1.0)]
    return [
        text(strings.NATIVE_HEADING, "h3"),
        Figure(
            panel.native, native, box, strings.NATIVE_HEADING, letters=panel.letters, bar=panel.bar
        ),
        text(f"{scale} {strings.letters_note(panel.letters)}", "quiet"),
    ]


def _evidence(
    panel: Panel, drawn: Explained, two: Contrast, box: tuple[float, float]
) -> list[Flowable]:
    evidence, local = drawn.evidence, derived.explained(panel.image).local_evidence
    said = strings.evidence_reading(evidence.block, two, local)
    if local is None or local.valid:
        place = strings.evidence_place(evidence.block, evidence.balance, two, local)
        said = f"{said} {place}"
    said = f"{said} {strings.outside_region(local)}".strip()
    return [
        text(strings.EVIDENCE_BY[evidence.block], "h3"),
        *overlay(panel, evidence, two, box),
        text(said, "quiet"),
    ]


def _slices(panel: Panel, drawn: Explained) -> list[Flowable]:
    """All slices of a volume, with their evidence."""
    if drawn.sheet is None or panel.slice is None:
        return []
    layers = [(drawn.sheet.input, 1.0), (drawn.sheet.evidence, OVERLAY)]
    said = strings.sheet_alt(panel.slice.count, drawn.evidence.balance)
    return [
        text(strings.SLICES_HEADING, "h3"),
        Figure(drawn.sheet.input, layers, (WIDTH, 90 * mm), said),
        text(strings.sheet_note(panel.slice), "quiet"),
    ]


def _how(panel: Panel, two: Contrast, card: Card) -> list[Flowable]:
    steps = strings.decision_steps(panel, two, card.operating_point)
    cells = [[text(value, "value"), text(what, "small")] for value, what in steps]
    return [boxes(cells, WIDTH), Spacer(0, 4)]


def _checks(panel: Panel, drawn: Explained, two: Contrast, by: str | None) -> list[Flowable]:
    explanation = derived.explained(panel.image)
    trip, edit, local = (
        explanation.reconstruction,
        explanation.counterfactual,
        explanation.local_evidence,
    )
    exact = strings.reconstruction_check(trip.exact, trip.bits, trip.max_abs_error)
    again = strings.counterfactual_recheck(edit.target, edit.flipped, edit.in_scope, by)
    cells = [
        [text(exact, "good" if trip.exact else "bad")],
        [text(strings.evidence_check(drawn.evidence.residual))],
        [text(again, "good" if edit.valid else "bad")],
    ]
    if local:
        checked = strings.local_check(local, panel.image.label, two.against)
        cells.insert(2, [text(checked, "good" if local.valid else "body")])
    return [text(strings.AT_A_GLANCE, "h2"), columns(cells, WIDTH)]


def _counterfactual(panel: Panel, drawn: Explained, card: Card) -> list[Flowable]:
    edit, of = derived.explained(panel.image).counterfactual, derived.subject(card)
    parts = [
        text(strings.counterfactual_heading(edit.target, edit.valid), "h2"),
        text(strings.change(edit, of)[0], "h3"),
        text(" ".join(strings.counterfactual_words(edit, derived.judged_by(card)))),
    ]
    if edit.valid:
        box = (WIDTH - 24) / 3, 36 * mm
        words = (strings.DARKER, strings.DIFFERENCE_UNIT, strings.BRIGHTER)
        bar = drawing.colour_bar(drawing.CHANGE)
        scale = strings.difference_scale(drawn.difference)
        named = (
            (strings.INPUT, drawn.frames[0]),
            (strings.COUNTERFACTUAL, drawn.frames[-1]),
            (strings.DIFFERENCE, drawn.difference.picture),
        )
        cells: list[list[Flowable]] = [
            [text(name, "h3"), Figure(panel.native, [(picture, 1)], box, name)]
            for name, picture in named
        ]
        cells[-1].append(Ruler(bar, drawn.difference, words, box[0]))
        parts += [
            columns(cells, WIDTH),
            text(f"{strings.DIFFERENCE_READING} {scale}", "quiet"),
        ]
    return [*parts, *_smallest(panel, drawn, card)]


def _smallest(panel: Panel, drawn: Explained, card: Card) -> list[Flowable]:
    """The smallest part that changes the answer, or that there is none."""
    found, of = derived.explained(panel.image).smallest_part, derived.subject(card)
    if found is None:
        return []
    said = [
        text(strings.smallest_heading(found, of), "h3"),
        text(" ".join(strings.smallest_words(found, of))),
    ]
    if drawn.part is None or drawn.without_part is None:
        return said
    box = (WIDTH - 24) / 3, 36 * mm
    named = (
        (strings.INPUT, [(panel.input, 1.0)]),
        (strings.THE_PART, [(panel.input, 1.0), (drawn.part, 1.0)]),
        (strings.COUNTERFACTUAL, [(drawn.without_part, 1.0)]),
    )
    cells = [[text(name, "h3"), Figure(panel.native, layers, box, name)] for name, layers in named]
    return [*said, columns(cells, WIDTH)]


def _neighbours(panel: Panel) -> list[Flowable]:
    """Similar training cases in words, or that none are named."""
    neighbours = derived.explained(panel.image).neighbours
    if neighbours is None:
        return [text(strings.NEAREST_NONE, "quiet")]
    return [
        text(strings.NEAREST_HEADING, "h2"),
        text(" ".join(strings.nearest_words(neighbours, panel.image.label))),
        text(strings.nearest_note(neighbours.recovered), "quiet"),
    ]
