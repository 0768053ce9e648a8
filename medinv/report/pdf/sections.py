"""Sections of the PDF after its first page: the proof, the lists of images and the model."""

from collections.abc import Sequence

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from medinv.report import figures, strings
from medinv.report.content import ImageContent, StudyContent
from medinv.report.measured import Interval
from medinv.report.model_facts import ModelFacts
from medinv.report.pdf.parts import WIDTH, Figure, Ruler, bullets, columns, rows, text

OVERLAY = 0.7


def overlay(
    panel: figures.Panel, shown: figures.EvidenceMap, model: ModelFacts, box: tuple[float, float]
) -> list[Flowable]:
    """Evidence over the image, with its colour bar."""
    figure = Figure(panel.native, [(panel.native, 1), (shown.drawn.picture, OVERLAY)], box)
    words = (model.classes[0], strings.evidence_unit(shown.block), model.classes[1])
    return [
        figure,
        Ruler(figures.colour_bar(figures.EVIDENCE), shown.drawn, words, figure.width, OVERLAY),
    ]


def proof(panel: figures.Panel, model: ModelFacts, *, heading: bool) -> list[Flowable]:
    """Certificate, identity, decoded depths and controls of one image."""
    if panel.explained is None:
        return []
    e, r, drawn = (
        panel.image.arrays.explanation.evidence,
        panel.image.arrays.explanation.reconstruction,
        panel.explained,
    )
    title = (
        f"{strings.PROOF_HEADING}: {strings.IMAGE} {panel.image.number}"
        if heading
        else strings.PROOF_HEADING
    )
    box, third = ((WIDTH - 24) / 3, 48 * mm), [
        (strings.GIVEN, panel.input, ""), (strings.DECODED, drawn.decoded, ""), (strings.ERROR, drawn.error.picture, strings.error_note(drawn.error.scale))
    ]  # fmt: skip
    cells = [
        [text(name, "h3"), Figure(picture, [(picture, 1)], box), text(note, "quiet")]
        for name, picture, note in third
    ]
    sums = drawn.pixels.balance
    values = [strings.fixed(value) for value in (sums.towards, sums.against, e.bias, e.logit)] + [
        strings.number(e.residual, 2)
    ]
    table = rows(
        [
            [text(name, "cell"), text(value, "cell")]
            for name, value in zip(strings.IDENTITY_TERMS, values, strict=True)
        ],
        [150, 80],
    )
    identity = [text(strings.IDENTITY_HEADING, "h3"), text(f"{strings.identity(model.classes[1])} {strings.IDENTITY_REFERENCE}"), table,
                Spacer(0, 3), text(strings.cancellation(sums.towards, sums.against))]  # fmt: skip
    if drawn.shown is not drawn.pixels:
        scale = strings.evidence_scale(
            drawn.pixels.block, drawn.pixels.drawn.scale, drawn.pixels.drawn.clipped
        )
        by_pixel = [
            text(strings.EVIDENCE_BY[drawn.pixels.block], "h3"),
            *overlay(panel, drawn.pixels, model, ((WIDTH - 12) / 2, 60 * mm)),
            text(scale, "quiet"),
        ]
        identity = [columns([identity, by_pixel], WIDTH)]
    shown, (height, width) = drawn.shown, r.image.shape
    scale = strings.evidence_scale(shown.block, shown.drawn.scale, shown.drawn.clipped)
    made = [text(strings.NATIVE_HEADING, "h3"), text(intake_words(panel), "quiet"),
            text(f"{scale} {strings.evidence_resolution(shown.block, shown.size, height, width)}", "quiet")]  # fmt: skip
    stored = (
        [text(f"{strings.PIXELS_SHA256} {panel.image.stored_sha256}", "mono")]
        if panel.image.stored_sha256
        else []
    )
    certificate = strings.certificate(r.exact, r.image.size, r.bits, r.max_abs_error, r.dtype)
    return [
        text(title, "h2"),
        text(strings.CERTIFICATE_HEADING, "h3"),
        text(certificate, "good" if r.exact else "bad"),
        columns(cells, WIDTH),
        *identity,
        *_trace(panel),
        *_controls(panel),
        *made,
        *stored,
    ]


def nearest_cases(image: ImageContent) -> list[Flowable]:
    """Similar training cases in words, or that none are named."""
    found = image.arrays.background.nearest
    if found is None:
        return [text(strings.NEAREST_NONE, "quiet")]
    said = (
        [strings.nearest_sentence(found.labels, image.label, found.chance)] if found.valid else []
    )
    said.append(strings.nearest_distance(found.distances[0], found.typical, found.valid))
    return [
        text(strings.NEAREST_HEADING, "h3"),
        text(" ".join(said)),
        text(strings.nearest_note(found.recovered), "quiet"),
    ]


def _trace(panel: figures.Panel) -> list[Flowable]:
    background = panel.image.arrays.background
    found, worst = background.trace, background.worst
    if found is None:
        return [text(strings.TRACE_HEADING, "h3"), text(strings.TRACE_NONE, "quiet")]
    total, box = sum(stage.values for stage in found.stages), ((WIDTH - 36) / 4, 34 * mm)
    notes = [
        strings.stage_note(s.values, total, s.energy_share, s.variance_explained, k == 0)
        for k, s in enumerate(found.stages)
    ]
    cells = [
        [Figure(picture, [(picture, 1)], box), text(note, "quiet")]
        for picture, note in zip(panel.explained.stages, notes, strict=True)
    ]
    lines = [
        (
            level.name,
            str(level.layers),
            f"{level.goes_on:,}",
            strings.number(level.max_abs_error, 2),
            strings.number(level.condition_number),
        )
        for level in background.levels
    ]
    return [
        text(strings.TRACE_HEADING, "h3"),
        text(strings.trace_check(len(found.depths), found.exact, found.max_abs_error), "good" if found.exact else "bad"),
        text(f"{strings.trace_condition(worst.name, worst.condition_number)} {strings.STAGES_READING}"), columns(cells, WIDTH),
        _table((strings.LEVEL, strings.LAYERS, strings.GOES_ON, strings.LARGEST_ERROR, strings.LARGEST_CONDITION), lines, (0.2, 0.12, 0.2, 0.24, 0.24)),
    ]  # fmt: skip


def _controls(panel: figures.Panel) -> list[Flowable]:
    background, edit = panel.image.arrays.background, panel.image.arrays.explanation.counterfactual
    found, parts = background.controls, [text(strings.CONTROLS_HEADING, "h3")]
    if found is None:
        return [*parts, text(strings.CONTROLS_NONE, "quiet")]
    if found.changes and edit.valid:  # beside an edit that is not shown they say nothing
        lines = [
            (
                one.name,
                strings.number(one.rms),
                strings.signed(one.logit),
                strings.YES if one.flipped else strings.NO,
                strings.number(one.cosine, 2),
            )
            for one in found.changes
        ]
        head = (strings.CHANGE, strings.RMS, strings.LOG_ODDS, strings.FLIPS, strings.COSINE)
        parts += [
            text(strings.controls_reading(edit.target, background.flipping, len(lines))),
            _table(head, lines, (0.28, 0.18, 0.16, 0.18, 0.2)),
        ]
    if found.likenesses:
        likened = [
            (
                one.name,
                one.of,
                strings.number(one.cosine, 2),
                strings.number(one.rank_correlation, 2),
            )
            for one in found.likenesses
        ]
        head = (strings.OTHER_NETWORK, strings.OF, strings.COSINE_ALONE, strings.RANKS)
        parts += [text(strings.LIKENESS_READING), _table(head, likened, (0.34, 0.22, 0.18, 0.26))]
    return parts


def _table(
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    shares: Sequence[float],
    *,
    width: float = WIDTH,
) -> Flowable:
    cells = [
        [text(name, "h3") for name in head],
        *([text(value, "cell") for value in line] for line in lines),
    ]
    return rows(cells, [width * share for share in shares], head=True)


def series_table(content: StudyContent) -> list[Flowable]:
    """What each series comes to."""
    lines = []
    for one in content.series:
        probability = (
            f"{strings.percent(one.positive)} {content.model.classes[1]}"
            if one.positive is not None
            else ""
        )
        deciding = ", ".join(str(number) for number in one.deciding)
        lines.append(
            (
                one.series_uid or strings.NONE,
                one.label or strings.FLAG_OUT_OF_SCOPE,
                probability,
                f"{one.in_scope} / {one.images}",
                deciding,
            )
        )
    head = (
        strings.SERIES,
        strings.LABEL,
        strings.PROBABILITY,
        strings.IN_SCOPE,
        strings.DECIDED_BY,
    )
    said = [text(strings.aggregation(content.aggregation), "quiet")] if content.aggregation else []
    return [
        text(strings.SERIES_HEADING, "h2"),
        _table(head, lines, (0.36, 0.18, 0.18, 0.12, 0.16)),
        *said,
    ]


def image_table(content: StudyContent) -> list[Flowable]:
    """Every image of the study."""
    head = [
        text(name, "h3")
        for name in (strings.IMAGE, strings.LABEL, strings.PROBABILITY, strings.UID)
    ]
    lines = []
    for image in content.images:
        reasons = f": {'; '.join(image.scope.reasons)}" if image.scope.reasons else ""
        probability = (
            f"{strings.percent(image.positive)} {image.probabilities[1][0]}"
            if image.positive is not None
            else ""
        )
        label = (image.label or strings.FLAG_OUT_OF_SCOPE) + reasons
        lines.append(
            [
                text(str(image.number), "cell"),
                text(label, "cell"),
                text(probability, "cell"),
                text(image.name, "mono"),
            ]
        )
    return [
        text(strings.OTHER_HEADING, "h2"),
        rows([head, *lines], [WIDTH * share for share in (0.08, 0.36, 0.22, 0.34)], head=True),
    ]


def excluded(content: StudyContent) -> list[Flowable]:
    """Files that gave no result; empty where there are none."""
    problems = [("broken", problem) for problem in content.broken] + [
        ("skipped", problem) for problem in content.skipped
    ]
    if not problems:
        return []
    head = [text(name, "h3") for name in (strings.UID, strings.STATUS, strings.REASON)]
    lines = [
        [
            text(problem.uid or strings.NONE, "mono"),
            text(strings.KINDS[kind], "cell"),
            text(f"{problem.code}: {problem.message}", "cell"),
        ]
        for kind, problem in problems
    ]
    table = rows([head, *lines], [WIDTH * share for share in (0.34, 0.16, 0.5)], head=True)
    return [text(strings.EXCLUDED_HEADING, "h2"), table, text(strings.EXCLUDED_NOTE, "quiet")]


def model_section(m: ModelFacts) -> list[Flowable]:
    """The model card in words."""
    told = [
        (strings.INTENDED_USE, m.intended_use), (strings.TASK, m.task), (strings.CLASSES, ", ".join(m.classes)), (strings.TRAINED_ON, m.training_data),
        (strings.DATA_LICENCE, m.data_licence), (strings.SPLITS, strings.plain(m.splits)), (strings.INTAKE, strings.plain(m.intake)),
        (strings.CALIBRATION, strings.plain(m.calibration_fit)), (strings.SCOPE, strings.plain(m.scope) if m.scope else ""),
        (strings.EXACTNESS, strings.plain(m.exactness) if m.exactness else ""),
        (strings.SUBGROUPS, strings.plain(m.subgroups) if m.subgroups else strings.SUBGROUPS_UNKNOWN), (strings.LIMITS, m.limits), (strings.NOT_TESTED, m.not_tested),
    ]  # fmt: skip
    origin = [(strings.ORIGIN_NAMES[key], strings.plain(value)) for key, value in m.origin] + [
        (strings.HASH_NAMES[key], value) for key, value in m.hashes
    ]
    measured = [[text(strings.METRIC_NAMES.get(name, strings.key_words(name)), "cell"), *(text(cell, "cell") for cell in _cells(found))]
                for name, found in m.metrics]  # fmt: skip
    head = [
        text(name, "h3")
        for name in (strings.MEASURE, strings.VALUE, strings.INTERVAL, strings.CASES)
    ]
    shares = [
        (strings.edges(one.low, one.high), strings.percent(one.share.value), f"{strings.percent(one.share.low)} \u2013 {strings.percent(one.share.high)}", str(one.share.n))
        for one in m.observed
    ]  # fmt: skip
    reliable = (
        strings.probability_of(m.classes[1]),
        strings.SHARE_OBSERVED,
        strings.INTERVAL,
        strings.CASES,
    )
    return [
        text(f"{strings.MODEL_HEADING}: {strings.model_line(m.title, m.name, m.version)}", "h2"), _facts(told),
        *([text(strings.METRICS, "h3"), rows([head, *measured], [150, 70, 110, 60], head=True)] if measured else []),
        *([text(strings.RELIABILITY, "h3"), _table(reliable, shares, (0.4, 0.2, 0.25, 0.15))] if shares else []),
        text(strings.ORIGIN, "h3"), _facts(origin, "mono"),
    ]  # fmt: skip


def _facts(pairs: Sequence[tuple[str, str | Sequence[str]]], style: str = "cell") -> Flowable:
    lines = [
        [text(name, "quiet"), text(value, style) if isinstance(value, str) else bullets(value, style)]
        for name, value in pairs if value
    ]  # fmt: skip
    return rows(lines, [WIDTH * 0.22, WIDTH * 0.78])


def intake_words(panel: figures.Panel) -> str:
    """What was done with the image between the file, this page and the network."""
    arrays = panel.image.arrays
    warned = "".join(f" {strings.WARNING}: {warning}." for warning in panel.image.warnings)
    return f"{strings.native_note((panel.native.height, panel.native.width), arrays.display.shape)} {arrays.intake}.{warned}"


def measured_words(found: Interval | None) -> str | None:
    """A value with its interval."""
    return strings.interval(found.value, found.low, found.high) if found else None


def _cells(found: Interval) -> tuple[str, str, str]:
    between = (
        strings.bounds(found.low, found.high)
        if found.low is not None and found.high is not None
        else ""
    )
    return (
        strings.interval(found.value, None, None),
        between,
        "" if found.n is None else str(found.n),
    )
