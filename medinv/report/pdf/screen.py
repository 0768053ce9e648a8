"""What the PDF's first page says first: picture, answer, place, what would change it, trust."""

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from medinv.analysis.result import Answer, ImageResult, StudyResult
from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.figures import Panel
from medinv.report.pdf.drawings import ClassBar, Figure, ProbabilityBar
from medinv.report.pdf.parts import WIDTH, bullets, columns, notice, rows, text

OVERLAY = 0.7
HALF = (WIDTH - 18) / 2
THUMBNAIL = 30 * mm


def screen(result: StudyResult, card: Card, panel: Panel | None) -> list[Flowable]:
    """The same as on the page's first screen."""
    told = result.answer
    right = answer(result, told, card)
    if told and panel:
        right += _brief(result, told, card, panel)
    elif told is None and result.status == "ok":
        alone = len(result.instances) == 1
        right.append(text(strings.WHY, "quiet"))
        right += scope(result.instances[0], card) if alone else []
        right.append(text(f"{strings.NO_LABEL}. {strings.SCOPE_REFUSAL}"))
    if panel is None:
        return right
    return [columns([_picture(panel, card), right], WIDTH, gap=18), Spacer(0, 4)]


def answer(result: StudyResult, told: Answer | None, card: Card) -> list[Flowable]:
    """Who answered what, with its probability."""
    return [
        text(f"{strings.STUDY} {result.study_uid or strings.NO_STUDY}", "quiet"),
        text(strings.model_line(card.title, card.name, card.version), "quiet"),
        text(strings.headline(result.status, result.called), "title"),
        *(_probability(result, told, card) if told else []),
    ]


def _probability(result: StudyResult, told: Answer, card: Card) -> list[Flowable]:
    point, sure = card.operating_point, derived.study_uncertainty(result, card)
    ends = (sure.low, sure.high) if sure else None
    share = f"{strings.percent(told.probability)} {strings.probability_of(told.name)}"
    mark = (point.threshold, strings.called_from(told.name, point.threshold)) if point else None
    return [
        text(share, "lead"),
        *([text(strings.uncertain(*ends), "quiet")] if ends else []),
        _classes(told, ends) if told.others else ProbabilityBar(told.probability, mark, ends, HALF),
    ]


def _classes(told: Answer, ends: tuple[float, float] | None) -> Flowable:
    """A bar a class, by falling probability."""
    lines: list[list[Flowable]] = []
    for k, (name, share) in enumerate(strings.class_rows(told)):
        bar = ClassBar(share, ends if k == 0 else None, HALF * 0.34)
        lines.append([text(name, "cell"), bar, text(strings.percent(share), "cell")])
    return rows(lines, [HALF * 0.46, HALF * 0.36, HALF * 0.18])


def _picture(panel: Panel, card: Card) -> list[Flowable]:
    """The image, with the evidence over it where a place is named."""
    drawn, layers = panel.explained, [(panel.native, 1.0)]
    placed = drawn is not None and strings.is_placed(panel.image)
    if drawn and placed:
        layers.append((drawn.evidence.drawn.picture, OVERLAY))
    box = (HALF, 92 * mm)
    alt = strings.EVIDENCE_BY[drawn.evidence.block] if drawn and placed else strings.NATIVE_HEADING
    figure = Figure(panel.native, layers, box, alt, letters=panel.letters, bar=panel.bar)
    said = strings.colours(derived.contrast(panel.image, card)) if placed else ""
    return [figure, *([text(said, "quiet")] if said else [])]


def _brief(result: StudyResult, told: Answer, card: Card, panel: Panel) -> list[Flowable]:
    """Where, what would change it and how far to trust it, one under the other."""
    parts: list[list[Flowable]] = []
    if panel.explained:
        two = derived.contrast(panel.image, card)
        parts.append([text(strings.WHERE, "quiet"), text(strings.where(panel, two))])
        parts.append([text(strings.CHANGES, "quiet"), *_change(panel, card)])
    else:
        parts.append([text(strings.WHERE, "quiet"), text(strings.NOT_EXPLAINED)])
    parts.append([text(strings.TRUST, "quiet"), *_trust(result, told, card, panel)])
    return [rows([[part] for part in parts], [HALF])]


def _change(panel: Panel, card: Card) -> list[Flowable]:
    explanation, of = derived.explained(panel.image), derived.subject(card)
    edit, drawn = explanation.counterfactual, panel.explained
    name, size = strings.change(edit, of)
    part = strings.smallest(explanation.smallest_part, of)
    said = [text(name, "strong"), *(text(one) for one in (size, part) if one)]
    if drawn is None or not edit.valid:
        return said
    layers = [(drawn.frames[-1], 1.0)]
    if strings.is_local(edit):
        layers.append((drawn.difference.picture, 0.6))
    figure = Figure(panel.native, layers, (THUMBNAIL, THUMBNAIL), name)
    beside = rows([[[figure], said]], [THUMBNAIL + 6, HALF - THUMBNAIL - 6], plain=True)
    return [beside]


def _trust(result: StudyResult, told: Answer, card: Card, panel: Panel) -> list[Flowable]:
    sure = derived.study_uncertainty(result, card)
    said = [strings.audited(card), *strings.trust(told, sure, card.operating_point)]
    lines = [text(line) for line in said]
    if panel.explained:
        exact = derived.explained(panel.image).reconstruction.exact
        lines.append(text(strings.exactness(exact), "good" if exact else "bad"))
    return lines


def scope(image: ImageResult, card: Card) -> list[Flowable]:
    """Whether the image is of the model's kind, and why not."""
    judgement, inside, by = image.scope, derived.inside(image), derived.judged_by(card)
    others = strings.other_reasons(judgement.reasons, by)
    sentence = strings.scope_sentence(inside, judgement.score, judgement.threshold, by)
    return [*bullets(others), text(sentence, "quiet" if others or inside else "body")]


def certainty(result: StudyResult, told: Answer, card: Card) -> list[Flowable]:
    """The probability and the operating point in full sentences."""
    point, inside = card.operating_point, derived.in_scope_count(result)
    sure, several = derived.study_uncertainty(result, card), derived.several_decide(result)
    threshold, count = point.threshold if point else None, len(result.instances)
    said = [strings.verdict(result.called or "", told, threshold, count)]
    said += [strings.highest_of(inside)] if inside > 1 and sure else []
    if card.config.model.ordered and result.probabilities:
        said.append(strings.expected_grade(result.probabilities))
    said.append(" ".join(strings.certainty(told, sure, several)))
    if point:
        where = strings.operating_point(told.name, point.threshold, point.chosen_on)
        gave = strings.operating_figures(point.sensitivity, point.specificity)
        said.append(f"{where} {gave}")
    return [text(line) for line in said]


def notices(result: StudyResult, card: Card, panel: Panel | None) -> list[Flowable]:
    """Boxes that are not overlooked: errors and warnings, those of the image shown first too."""
    boxes: list[Flowable] = []
    if error := result.error:
        head = text(f"{error.code} ({strings.STAGE}: {error.stage})", "h3")
        boxes.append(notice([head, text(error.message)], WIDTH, bad=True))
    warnings = list(derived.warnings(result, card))
    warnings += [strings.warned(one) for one in panel.image.warnings] if panel else []
    if warnings:
        head = text(strings.WARNINGS if len(warnings) > 1 else strings.WARNING, "h3")
        boxes.append(notice([head, *bullets(warnings)], WIDTH))
    return boxes
