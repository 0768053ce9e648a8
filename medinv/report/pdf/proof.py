"""What was checked of one image: certificate, identity, decoded depths and controls."""

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.derived import Contrast
from medinv.report.figures import Explained, Panel
from medinv.report.pdf.drawings import Figure
from medinv.report.pdf.image import HALF, intake_words, overlay
from medinv.report.pdf.parts import WIDTH, columns, rows, table, text


def proof(panel: Panel, card: Card, *, heading: bool) -> list[Flowable]:
    """The proof of one image; nothing of one without an explanation."""
    drawn = panel.explained
    if drawn is None:
        return []
    title = strings.PROOF_HEADING
    named = f"{title}: {strings.IMAGE} {panel.number}" if heading else title
    trip = derived.explained(panel.image).reconstruction
    return [
        text(named, "h2"),
        text(strings.CERTIFICATE_HEADING, "h3"),
        text(strings.certificate(trip), "good" if trip.exact else "bad"),
        columns(_decoded(panel, drawn), WIDTH),
        *_identity(panel, drawn, derived.contrast(panel.image, card)),
        *_trace(panel, drawn),
        *_controls(panel),
        text(strings.NATIVE_HEADING, "h3"),
        text(intake_words(panel, card), "quiet"),
        text(_resolution(panel, drawn), "quiet"),
        text(f"{strings.PIXELS_SHA256} {panel.image.stored_sha256}", "mono"),
    ]


def _decoded(panel: Panel, drawn: Explained) -> list[list[Flowable]]:
    box = ((WIDTH - 24) / 3, 48 * mm)
    third = [
        (strings.GIVEN, panel.input, ""),
        (strings.DECODED, drawn.decoded, ""),
        (strings.ERROR, drawn.error.picture, strings.error_note(drawn.error.scale)),
    ]
    return [
        [text(name, "h3"), Figure(picture, [(picture, 1)], box, name), text(note, "quiet")]
        for name, picture, note in third
    ]


def _resolution(panel: Panel, drawn: Explained) -> str:
    evidence = drawn.evidence
    scale = strings.evidence_scale(evidence.block, evidence.drawn)
    return f"{scale} {strings.evidence_resolution(evidence.block, evidence.size, panel.given)}"


def _identity(panel: Panel, drawn: Explained, two: Contrast) -> list[Flowable]:
    pixels = drawn.pixels
    cells = [[text(cell, "cell") for cell in line] for line in strings.identity_rows(pixels)]
    said = [
        text(strings.IDENTITY_HEADING, "h3"),
        text(f"{strings.identity(two)} {strings.IDENTITY_REFERENCE}"),
        rows(cells, [150, 80]),
        Spacer(0, 3),
        text(strings.cancellation(pixels.balance.towards, pixels.balance.against)),
    ]
    if drawn.evidence is pixels:
        return said
    by_pixel = [
        text(strings.EVIDENCE_BY[pixels.block], "h3"),
        *overlay(panel, pixels, two, (HALF, 60 * mm)),
        text(strings.evidence_scale(pixels.block, pixels.drawn), "quiet"),
    ]
    return [columns([said, by_pixel], WIDTH)]


def _trace(panel: Panel, drawn: Explained) -> list[Flowable]:
    trace = derived.explained(panel.image).trace
    if trace is None:
        return [text(strings.TRACE_HEADING, "h3"), text(strings.TRACE_NONE, "quiet")]
    worst, count = derived.worst(trace), len(trace.depths)
    total, box = sum(stage.values for stage in trace.stages), ((WIDTH - 36) / 4, 34 * mm)
    stages = enumerate(zip(drawn.stages, trace.stages, strict=True))
    cells = [
        [
            Figure(picture, [(picture, 1)], box, f"{strings.TRACE_HEADING} {k}"),
            text(strings.stage_note(stage, total, k == 0), "quiet"),
        ]
        for k, (picture, stage) in stages
    ]
    check = strings.trace_check(count, trace.exact, trace.max_abs_error)
    condition = strings.trace_condition(worst.name, worst.condition_number)
    return [
        text(strings.TRACE_HEADING, "h3"),
        text(check, "good" if trace.exact else "bad"),
        text(f"{condition} {strings.STAGES_READING}"),
        columns(cells, WIDTH),
        _levels(derived.levels(trace)),
    ]


def _levels(levels: tuple[derived.Level, ...]) -> Flowable:
    head = (
        strings.LEVEL,
        strings.LAYERS,
        strings.GOES_ON,
        strings.LARGEST_ERROR,
        strings.LARGEST_CONDITION,
    )
    lines = [
        (
            level.name,
            str(level.layers),
            f"{level.goes_on:,}",
            strings.number(level.max_abs_error, 2),
            strings.number(level.condition_number),
        )
        for level in levels
    ]
    return table(head, lines, (0.2, 0.12, 0.2, 0.24, 0.24))


def _controls(panel: Panel) -> list[Flowable]:
    explanation = derived.explained(panel.image)
    sanity, edit = explanation.sanity, explanation.counterfactual
    parts = [text(strings.CONTROLS_HEADING, "h3")]
    if sanity is None:
        return [*parts, text(strings.CONTROLS_NONE, "quiet")]
    if sanity.changes and edit.valid:  # beside an edit that is not shown they say nothing
        lines = [
            (
                one.name,
                strings.number(one.rms),
                strings.signed(one.logit),
                strings.YES if one.flipped else strings.NO,
                strings.number(one.cosine, 2),
            )
            for one in sanity.changes
        ]
        head = (strings.CHANGE, strings.RMS, strings.LOG_ODDS, strings.FLIPS, strings.COSINE)
        reading = strings.controls_reading(edit.target, derived.flipping(sanity), len(lines))
        parts += [text(reading), table(head, lines, (0.28, 0.18, 0.16, 0.18, 0.2))]
    if sanity.likenesses:
        likened = [
            (
                one.name,
                one.of,
                strings.number(one.cosine, 2),
                strings.number(one.rank_correlation, 2),
            )
            for one in sanity.likenesses
        ]
        names = (strings.OTHER_NETWORK, strings.OF, strings.COSINE_ALONE, strings.RANKS)
        parts += [
            text(strings.LIKENESS_READING),
            table(names, likened, (0.34, 0.22, 0.18, 0.26)),
        ]
    return parts
