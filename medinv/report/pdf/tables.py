"""The lists of the PDF: series, images, what was left out, and the model."""

from reportlab.platypus import Flowable

from medinv.analysis.result import StudyResult
from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.pdf.parts import WIDTH, pairs_table, rows, table, text


def series_table(result: StudyResult) -> list[Flowable]:
    """What each series comes to."""
    lines = [
        (
            one.series_uid or strings.NONE,
            one.called or strings.FLAG_OUT_OF_SCOPE,
            strings.answer_cell(one.answer),
            f"{one.in_scope} / {one.images}",
            ", ".join(str(number) for number in derived.numbers(result, one)),
        )
        for one in result.series
    ]
    head = (
        strings.SERIES,
        strings.LABEL,
        strings.PROBABILITY,
        strings.IN_SCOPE,
        strings.DECIDED_BY,
    )
    return [
        text(strings.SERIES_HEADING, "h2"),
        table(head, lines, (0.36, 0.18, 0.18, 0.12, 0.16)),
        text(strings.aggregation(result.aggregation), "quiet"),
    ]


def image_table(result: StudyResult) -> list[Flowable]:
    """Every image of the study."""
    names = (strings.IMAGE, strings.LABEL, strings.PROBABILITY, strings.UID)
    lines = [[text(name, "h3") for name in names]]
    for number, image in enumerate(result.instances, start=1):
        reasons = f": {'; '.join(image.scope.reasons)}" if image.scope.reasons else ""
        label = (image.called or strings.FLAG_OUT_OF_SCOPE) + reasons
        lines.append(
            [
                text(str(number), "cell"),
                text(label, "cell"),
                text(strings.answer_cell(image.answer), "cell"),
                text(image.name, "mono"),
            ]
        )
    shares = (0.08, 0.36, 0.22, 0.34)
    return [
        text(strings.OTHER_HEADING, "h2"),
        rows(lines, [WIDTH * share for share in shares], head=True),
    ]


def excluded(result: StudyResult) -> list[Flowable]:
    """Files that gave no result; empty where there are none."""
    problems = [("broken", problem) for problem in result.broken]
    problems += [("skipped", problem) for problem in result.skipped]
    if not problems:
        return []
    lines = [[text(name, "h3") for name in (strings.UID, strings.STATUS, strings.REASON)]]
    lines += [
        [
            text(problem.sop_uid or strings.NONE, "mono"),
            text(strings.KINDS[kind], "cell"),
            text(f"{problem.code}: {problem.message}", "cell"),
        ]
        for kind, problem in problems
    ]
    return [
        text(strings.EXCLUDED_HEADING, "h2"),
        rows(lines, [WIDTH * share for share in (0.34, 0.16, 0.5)], head=True),
        text(strings.EXCLUDED_NOTE, "quiet"),
    ]


def model_section(result: StudyResult, card: Card) -> list[Flowable]:
    """The model card in words."""
    model = strings.model_line(card.title, card.name, card.version)
    origin = [
        (strings.ORIGIN_NAMES[key], strings.plain(value))
        for key, value in derived.origin(card).items()
    ]
    hashes = [
        (strings.HASH_NAMES[key], value) for key, value in derived.hashes(result, card).items()
    ]
    return [
        text(f"{strings.MODEL_HEADING}: {model}", "h2"),
        pairs_table(strings.card_facts(card, derived.calibration_fit(card))),
        *_metrics(card),
        *_classes(card),
        *_reliability(card),
        text(strings.ORIGIN, "h3"),
        pairs_table([*origin, *hashes], "mono"),
    ]


def _metrics(card: Card) -> list[Flowable]:
    if not card.metrics:
        return []
    names = (strings.MEASURE, strings.VALUE, strings.INTERVAL, strings.CASES)
    lines = [[text(name, "h3") for name in names]]
    for name, estimate in card.metrics.items():
        cells = (
            strings.metric_name(name),
            strings.interval(estimate.value, None, None),
            strings.bounds(estimate.low, estimate.high),
            str(estimate.n),
        )
        lines.append([text(cell, "cell") for cell in cells])
    return [text(strings.METRICS, "h3"), rows(lines, [150, 70, 110, 60], head=True)]


def _classes(card: Card) -> list[Flowable]:
    """Of more than two classes: each against the rest."""
    if not card.by_class:
        return []
    measures = ("auc", "sensitivity", "specificity", "precision")
    names = (strings.CLASS, *map(strings.metric_name, measures), strings.CALLED_AS)
    lines = [
        (
            one.name,
            *(strings.class_estimate(getattr(one, measure)) for measure in measures),
            strings.called_as(one.called, card.classes),
        )
        for one in card.by_class
    ]
    shares = (0.16, 0.16, 0.16, 0.16, 0.16, 0.2)
    return [text(strings.BY_CLASS, "h3"), table(names, lines, shares)]


def _reliability(card: Card) -> list[Flowable]:
    """What was observed of test images by their probability."""
    if not card.calibration.observed:
        return []
    head = (
        strings.probability_of(derived.probability_subject(card)),
        strings.SHARE_OBSERVED,
        strings.INTERVAL,
        strings.CASES,
    )
    lines = [
        (
            strings.edges(one.low, one.high),
            strings.percent(one.share.value),
            strings.between(one.share.low, one.share.high),
            str(one.share.n),
        )
        for one in card.calibration.observed
    ]
    return [text(strings.RELIABILITY, "h3"), table(head, lines, (0.4, 0.2, 0.25, 0.15))]
