"""The top of the PDF's first page: the answer, how sure it is, and what to beware of."""

from reportlab.platypus import Flowable, Spacer

from medinv.analysis.result import Answer, ImageResult, StudyResult
from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.pdf.drawings import ClassBar, ProbabilityBar
from medinv.report.pdf.parts import WIDTH, bullets, columns, notice, rows, text


def verdict(result: StudyResult, card: Card) -> list[Flowable]:
    """The answer on the left, its probability on the right."""
    told = result.answer
    left = [
        text(f"{strings.STUDY} {result.study_uid or strings.NO_STUDY}", "quiet"),
        text(strings.headline(result.status, result.called), "title"),
    ]
    model = strings.model_line(card.title, card.name, card.version)
    named = text(f"{strings.MODEL}: {model}", "quiet")
    if told is None:
        return [*left, named]
    left += [*_sentences(result, told, card), named]
    if len(result.instances) == 1:
        left += scope(result.instances[0], card)
    if point := card.operating_point:
        where = strings.operating_point(told.name, point.threshold, point.chosen_on)
        gave = strings.operating_figures(point.sensitivity, point.specificity)
        left.append(text(f"{where} {gave}", "quiet"))
    return [columns([left, _probability(result, told, card)], WIDTH, gap=18), Spacer(0, 4)]


def _sentences(result: StudyResult, told: Answer, card: Card) -> list[Flowable]:
    point, inside = card.operating_point, derived.in_scope_count(result)
    threshold, count = point.threshold if point else None, len(result.instances)
    lead = strings.verdict(result.called or "", told, threshold, count)
    if inside <= 1:
        return [text(lead, "lead")]
    sure = derived.study_uncertainty(result, card)
    caution = strings.highest_of(inside) if sure else strings.UNCERTAINTY_SEVERAL
    return [text(lead, "lead"), text(caution, "quiet")]


def _probability(result: StudyResult, told: Answer, card: Card) -> list[Flowable]:
    point, sure = card.operating_point, derived.study_uncertainty(result, card)
    ends = (sure.low, sure.high) if sure else None
    threshold = point.threshold if point else None
    grades = result.probabilities if card.config.model.ordered else None
    certainty = strings.certainty(told, sure, derived.several_decide(result))
    return [
        text(strings.percent(told.probability), "title"),
        *([text(strings.uncertain(*ends))] if ends else []),
        text(strings.probability_of(told.name)),
        *(
            _classes(told, ends)
            if told.others
            else [ProbabilityBar(told.probability, threshold, ends, WIDTH * 0.46)]
        ),
        *([text(strings.expected_grade(grades))] if grades else []),
        text(" ".join(certainty), "quiet"),
    ]


def _classes(told: Answer, ends: tuple[float, float] | None) -> list[Flowable]:
    """A bar a class, by falling probability."""
    width = WIDTH * 0.46
    lines: list[list[Flowable]] = []
    for k, (name, share) in enumerate(strings.class_rows(told)):
        bar = ClassBar(share, ends if k == 0 else None, width * 0.34)
        lines.append([text(name, "cell"), bar, text(strings.percent(share), "cell")])
    return [rows(lines, [width * 0.46, width * 0.36, width * 0.18])]


def scope(image: ImageResult, card: Card) -> list[Flowable]:
    """Whether the image is of the model's kind, and why not."""
    judgement = image.scope
    sentence = strings.scope_sentence(
        derived.inside(image), judgement.score, judgement.threshold, derived.judged_by(card)
    )
    return [*bullets(judgement.reasons), text(sentence, "quiet")]


def notices(result: StudyResult, card: Card) -> list[Flowable]:
    """Boxes that are not overlooked: errors, refusals, warnings."""
    boxes: list[Flowable] = []
    if error := result.error:
        head = text(f"{error.code} ({strings.STAGE}: {error.stage})", "h3")
        boxes.append(notice([head, text(error.message)], WIDTH, bad=True))
    if result.status == "ok" and not result.in_scope:
        reasons = scope(result.instances[0], card) if len(result.instances) == 1 else []
        parts = [text(strings.NO_LABEL, "h3"), text(strings.SCOPE_REFUSAL), *reasons]
        boxes.append(notice(parts, WIDTH, bad=True))
    if warnings := derived.warnings(result, card):
        head = text(strings.WARNINGS if len(warnings) > 1 else strings.WARNING, "h3")
        boxes.append(notice([head, *bullets(warnings)], WIDTH))
    return boxes
