"""The report as PDF: the same content and the same words as the page, on A4, with fonts embedded and no date, so that equal contents give equal bytes.

Made with reportlab, which needs no library of the system. Page one says the answer, how sure it is, where it came from and whether the checks held.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageBreak, PageTemplate, Spacer

from medinv.report import figures, strings
from medinv.report.content import ImageContent, StudyContent
from medinv.report.model_facts import Interval, ModelFacts
from medinv.report.output import write_page
from medinv.report.pdf_parts import BOLD, INK, LINE, QUIET, REGULAR, Figure, ProbabilityBar, Ruler, bullets, columns, notice, register_fonts, rows, text

MARGIN, TOP, BOTTOM = 14 * mm, 17 * mm, 14 * mm
WIDTH = A4[0] - 2 * MARGIN
SHOWN_IN_FULL = 6  # images, as on the page
OVERLAY = 0.7


def write_pdf(content: StudyContent, path: Path) -> Path:
    """Write one study's report; raises OutputError when it cannot be written."""
    return write_page(path, pdf_bytes(content))


def pdf_bytes(content: StudyContent) -> bytes:
    """The report's bytes, the same for the same content."""
    register_fonts()
    buffer = io.BytesIO()
    frame = Frame(MARGIN, BOTTOM, WIDTH, A4[1] - TOP - BOTTOM, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    headline = strings.headline(content.status, content.label)
    document = BaseDocTemplate(buffer, pagesize=A4, title=f"{strings.TITLE}: {headline}", author=strings.made_by(content.medinv_version),
                               subject=strings.RESEARCH_USE, creator="medinv", lang=strings.LANG, invariant=1, displayDocTitle=True, initialFontName=REGULAR)  # fmt: skip
    document.addPageTemplates(PageTemplate("page", [frame]))
    document.build(_story(content), canvasmaker=lambda *args, **values: _NumberedCanvas(*args, study=content.study_uid or "", **values))
    return buffer.getvalue()


class _NumberedCanvas(Canvas):
    """Writes the margins when the number of pages is known: the disclaimer stands on every page."""

    def __init__(self, *args: object, study: str, **values: object):
        super().__init__(*args, **values)
        self._study, self._pages = study, []

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self._margins(f"{number} / {len(self._pages)}")
            super().showPage()
        super().save()

    def _margins(self, number: str) -> None:
        top, right = A4[1] - 11 * mm, A4[0] - MARGIN
        self.setStrokeColor(LINE)
        self.setLineWidth(0.5)
        self.line(MARGIN, top - 4, right, top - 4)
        self.setFillColor(INK)
        self.setFont(BOLD, 7.5)
        self.drawString(MARGIN, top, strings.RESEARCH_USE)
        self.setFillColor(QUIET)
        self.setFont(REGULAR, 7)
        self.drawRightString(right, top, strings.TITLE)
        self.drawString(MARGIN, 8 * mm, self._study[:64])
        self.drawRightString(right, 8 * mm, number)


def _story(content: StudyContent) -> list[Flowable]:
    ranked = content.ranked()
    panels = [figures.panel(image) for image in ranked[: SHOWN_IN_FULL if content.in_scope else 1]]
    alone = len(content.images) <= 1
    story = [*_verdict(content), *_notices(content)]
    if panels and not alone:
        story.append(text(strings.images_shown(len(panels), len(content.images), content.in_scope), "quiet"))
    if content.reconstruction and not (alone and content.in_scope):
        r = content.reconstruction
        story.append(text(strings.study_reconstruction(r.exact, r.bits, r.max_abs_error, len(content.images)), "quiet"))
    for index, panel in enumerate(panels):
        story += [PageBreak()] if index else []
        story += _image(panel, content.model, heading=not alone)
    if panels and panels[0].explained:
        story.append(PageBreak())
        for panel in panels:
            story += _proof(panel, content.model, heading=not alone)
    story += [*([] if alone else _images(content)), *_excluded(content), *_model(content.model), text(strings.DISCLAIMERS_HEADING, "h2")]
    return [*story, *bullets(content.disclaimers)]


def _verdict(content: StudyContent) -> list[Flowable]:
    model = content.model
    left = [text(f"{strings.STUDY} {content.study_uid or strings.NO_STUDY}", "quiet"), text(strings.headline(content.status, content.label), "title")]
    named = text(f"{strings.MODEL}: {strings.model_line(model.title, model.name, model.version)}", "quiet")
    if not (content.in_scope and content.positive is not None):
        return [*left, named]
    point, name = model.operating_point, content.probabilities[1][0]
    threshold = point.threshold if point else None
    left += [text(strings.verdict(content.label, name, content.positive, threshold, len(content.images)), "lead"), named]
    if len(content.images) == 1:
        left += _scope(content.images[0])
    right = [text(strings.percent(content.positive), "title"), text(strings.probability_of(name))]
    right.append(ProbabilityBar(content.positive, threshold, WIDTH * 0.46))
    if point:
        measured = strings.operating_figures(_measured(point.sensitivity), _measured(point.specificity))
        right.append(text(f"{strings.operating_point(name, point.threshold, point.chosen_on)} {measured}", "quiet"))
    return [columns([left, right], WIDTH, gap=18), Spacer(0, 4)]


def _scope(image: ImageContent) -> list[Flowable]:
    sentence = strings.scope_sentence(image.scope.in_scope, image.scope.score, image.scope.threshold)
    return [*bullets(image.scope.reasons), *([text(sentence, "quiet")] if sentence else [])]


def _notices(content: StudyContent) -> list[Flowable]:
    found: list[Flowable] = []
    if content.error:
        stage = f" ({strings.STAGE}: {content.error.stage})" if content.error.stage else ""
        found.append(notice([text(content.error.code + stage, "h3"), text(content.error.message)], WIDTH, bad=True))
    if content.status == "ok" and not content.in_scope:
        reasons = _scope(content.images[0]) if len(content.images) == 1 else []
        found.append(notice([text(strings.NO_LABEL, "h3"), text(strings.SCOPE_REFUSAL), *reasons], WIDTH, bad=True))
    if content.warnings:
        head = strings.WARNINGS if len(content.warnings) > 1 else strings.WARNING
        found.append(notice([text(head, "h3"), *bullets(content.warnings)], WIDTH))
    return found


def _image(panel: figures.Panel, model: ModelFacts, *, heading: bool) -> list[Flowable]:
    """The image, its evidence, the checks and the counterfactual: one page."""
    image, arrays, half = panel.image, panel.image.arrays, (WIDTH - 12) / 2
    box = half, 92 * mm
    left = [
        text(strings.NATIVE_HEADING, "h3"),
        Figure(panel.native, [(panel.native, 1)], box, letters=arrays.laterality, bar=panel.bar),
        text(f"{strings.scale_note(arrays.spacing, panel.bar.length_mm if panel.bar else None)} {strings.letters_note(arrays.laterality)}", "quiet"),
        text(f"{strings.native_note((panel.native.height, panel.native.width), arrays.display.shape)} {arrays.intake}", "quiet"),
    ]
    if panel.explained is None:
        right = [text(strings.INPUT, "h3"), Figure(panel.input, [(panel.input, 1)], box)]
        return [*_heading(image, heading), columns([left, right], WIDTH)]
    right = _evidence(panel, model, box)
    return [*_heading(image, heading), columns([left, right], WIDTH), *_checks(panel), *_counterfactual(panel)]


def _heading(image: ImageContent, wanted: bool) -> list[Flowable]:
    if not wanted:
        return []
    if not image.scope.in_scope:
        return [text(strings.image_heading(image.number, strings.FLAG_OUT_OF_SCOPE, None, None), "h2"), *_scope(image)]
    named = image.probabilities[1] if image.positive is not None else (None, None)
    return [text(strings.image_heading(image.number, image.label, *named), "h2"), *_scope(image)]


def _evidence(panel: figures.Panel, model: ModelFacts, box: tuple[float, float]) -> list[Flowable]:
    shown = panel.explained.regions or panel.explained.pixels
    sums, e = shown.balance, panel.image.arrays.explanation.evidence
    negative, positive = model.classes
    height, width = panel.image.arrays.network_input.shape
    return [
        text(strings.EVIDENCE_BY_REGION if panel.explained.regions else strings.EVIDENCE_BY_PIXEL, "h3"),
        *_overlay(panel, shown, model, box),
        text(f"{strings.evidence_reading(shown.size, positive, negative)} "
             f"{strings.evidence_place(shown.size, sums.place, sums.largest, positive, negative)}", "quiet"),
        text(strings.evidence_sums(shown.size, sums.towards, sums.against, e.bias, e.logit), "quiet"),
        text(f"{strings.evidence_scale(shown.size, shown.drawn.scale, shown.drawn.clipped)} "
             f"{strings.evidence_resolution(shown.size, height, width)}", "quiet"),
    ]  # fmt: skip


def _overlay(panel: figures.Panel, shown: figures.EvidenceMap, model: ModelFacts, box: tuple[float, float]) -> list[Flowable]:
    figure = Figure(panel.native, [(panel.native, 1), (shown.drawn.picture, OVERLAY)], box)
    words = (model.classes[0], strings.evidence_unit(shown.size), model.classes[1])
    return [figure, Ruler(figures.colour_bar(figures.EVIDENCE), shown.drawn, words, figure.width, OVERLAY)]


def _checks(panel: figures.Panel) -> list[Flowable]:
    explanation = panel.image.arrays.explanation
    r, cf = explanation.reconstruction, explanation.counterfactual
    cells = [
        [text(strings.reconstruction_check(r.exact, r.bits, r.max_abs_error), "good" if r.exact else "bad")],
        [text(strings.evidence_check(explanation.evidence.residual))],
        [text(strings.counterfactual_recheck(cf.target, cf.flipped, cf.in_scope), "good" if cf.valid else "bad")],
    ]
    return [text(strings.AT_A_GLANCE, "h3"), columns(cells, WIDTH)]


def _counterfactual(panel: figures.Panel) -> list[Flowable]:
    cf, drawn = panel.image.arrays.explanation.counterfactual, panel.explained
    words = [
        strings.counterfactual_reading(cf.target, cf.flipped, cf.in_scope), strings.counterfactual_check(cf.target, cf.flipped, cf.logit),
        strings.counterfactual_size(cf.rms, cf.out_of_range),
    ]  # fmt: skip
    found = [text(strings.counterfactual_heading(cf.target, cf.valid), "h2"), text(" ".join(words))]
    if not cf.valid:
        return found
    count = len(drawn.frames)
    box = (WIDTH - 6 * count) / (count + 1), 34 * mm
    cells = [[Figure(panel.native, [(frame, 1)], box), text(strings.frame_name(n, count), "quiet")] for n, frame in enumerate(drawn.frames)]
    difference = Figure(panel.native, [(drawn.difference.picture, 1)], box)
    cells.append([difference, text(strings.DIFFERENCE, "quiet")])
    ruler = Ruler(figures.colour_bar(figures.CHANGE), drawn.difference, (strings.DARKER, strings.DIFFERENCE_UNIT, strings.BRIGHTER), WIDTH * 0.4)
    note = text(f"{strings.DIFFERENCE_READING} {strings.difference_scale(drawn.difference.scale, drawn.difference.clipped)}", "quiet")
    return [*found, columns(cells, WIDTH, gap=6), columns([[note], [ruler]], WIDTH)]


def _proof(panel: figures.Panel, model: ModelFacts, *, heading: bool) -> list[Flowable]:
    if panel.explained is None:
        return []
    e, r, drawn = panel.image.arrays.explanation.evidence, panel.image.arrays.explanation.reconstruction, panel.explained
    title = f"{strings.PROOF_HEADING}: {strings.IMAGE} {panel.image.number}" if heading else strings.PROOF_HEADING
    box, third = ((WIDTH - 24) / 3, 48 * mm), [
        (strings.GIVEN, panel.input, ""), (strings.DECODED, drawn.decoded, ""), (strings.ERROR, drawn.error.picture, strings.error_note(drawn.error.scale))
    ]  # fmt: skip
    cells = [[text(name, "h3"), Figure(picture, [(picture, 1)], box), text(note, "quiet")] for name, picture, note in third]
    sums = drawn.pixels.balance
    values = [strings.fixed(value) for value in (sums.towards, sums.against, e.bias, e.logit)] + [strings.number(e.residual, 2)]
    table = rows([[text(name, "cell"), text(value, "cell")] for name, value in zip(strings.IDENTITY_TERMS, values, strict=True)], [150, 80])
    identity = [text(strings.IDENTITY_HEADING, "h3"), text(f"{strings.identity(model.classes[1])} {strings.IDENTITY_REFERENCE}"), table,
                Spacer(0, 3), text(strings.cancellation(sums.towards, sums.against))]  # fmt: skip
    if drawn.regions:
        scale = strings.evidence_scale(1, drawn.pixels.drawn.scale, drawn.pixels.drawn.clipped)
        by_pixel = [text(strings.EVIDENCE_BY_PIXEL, "h3"), *_overlay(panel, drawn.pixels, model, ((WIDTH - 12) / 2, 60 * mm)), text(scale, "quiet")]
        identity = [columns([identity, by_pixel], WIDTH)]
    certificate = strings.certificate(r.exact, r.image.size, r.bits, r.max_abs_error, r.dtype)
    return [text(title, "h2"), text(strings.CERTIFICATE_HEADING, "h3"), text(certificate, "good" if r.exact else "bad"), columns(cells, WIDTH), *identity]


def _images(content: StudyContent) -> list[Flowable]:
    head = [text(name, "h3") for name in (strings.IMAGE, strings.LABEL, strings.PROBABILITY, strings.UID)]
    lines = []
    for image in content.images:
        reasons = f": {'; '.join(image.scope.reasons)}" if image.scope.reasons else ""
        probability = f"{strings.percent(image.positive)} {image.probabilities[1][0]}" if image.positive is not None else ""
        label = (image.label or strings.FLAG_OUT_OF_SCOPE) + reasons
        lines.append([text(str(image.number), "cell"), text(label, "cell"), text(probability, "cell"), text(image.sop_uid, "mono")])
    return [text(strings.OTHER_HEADING, "h2"), rows([head, *lines], [WIDTH * share for share in (0.08, 0.36, 0.22, 0.34)], head=True)]


def _excluded(content: StudyContent) -> list[Flowable]:
    problems = [("broken", problem) for problem in content.broken] + [("skipped", problem) for problem in content.skipped]
    if not problems:
        return []
    head = [text(name, "h3") for name in (strings.UID, strings.STATUS, strings.REASON)]
    lines = [
        [text(problem.uid or strings.NONE, "mono"), text(strings.KINDS[kind], "cell"), text(f"{problem.code}: {problem.message}", "cell")]
        for kind, problem in problems
    ]
    table = rows([head, *lines], [WIDTH * share for share in (0.34, 0.16, 0.5)], head=True)
    return [text(strings.EXCLUDED_HEADING, "h2"), table, text(strings.EXCLUDED_NOTE, "quiet")]


def _model(m: ModelFacts) -> list[Flowable]:
    told = [
        (strings.INTENDED_USE, m.intended_use), (strings.TASK, m.task), (strings.CLASSES, ", ".join(m.classes)), (strings.TRAINED_ON, m.training_data),
        (strings.DATA_LICENCE, m.data_licence), (strings.SPLITS, strings.plain(m.splits)), (strings.INTAKE, strings.plain(m.intake)),
        (strings.CALIBRATION, strings.plain(m.calibration)), (strings.SCOPE, strings.plain(m.scope) if m.scope else ""),
        (strings.EXACTNESS, strings.plain(m.exactness) if m.exactness else ""), (strings.LIMITS, m.limits), (strings.NOT_TESTED, m.not_tested),
    ]  # fmt: skip
    origin = [(strings.ORIGIN_NAMES[key], strings.plain(value)) for key, value in m.origin] + [(strings.HASH_NAMES[key], value) for key, value in m.hashes]
    measured = [[text(strings.METRIC_NAMES.get(name, strings.key_words(name)), "cell"), *(text(cell, "cell") for cell in _cells(found))]
                for name, found in m.metrics]  # fmt: skip
    head = [text(name, "h3") for name in (strings.MEASURE, strings.VALUE, strings.INTERVAL, strings.CASES)]
    return [
        text(f"{strings.MODEL_HEADING}: {strings.model_line(m.title, m.name, m.version)}", "h2"), _facts(told),
        *([text(strings.METRICS, "h3"), rows([head, *measured], [150, 70, 110, 60], head=True)] if measured else []),
        text(strings.ORIGIN, "h3"), _facts(origin, "mono"),
    ]  # fmt: skip


def _facts(pairs: Sequence[tuple[str, str | Sequence[str]]], style: str = "cell") -> Flowable:
    lines = [
        [text(name, "quiet"), text(value, style) if isinstance(value, str) else bullets(value, style)]
        for name, value in pairs if value
    ]  # fmt: skip
    return rows(lines, [WIDTH * 0.22, WIDTH * 0.78])


def _measured(found: Interval | None) -> str | None:
    return strings.interval(found.value, found.low, found.high) if found else None


def _cells(found: Interval) -> tuple[str, str, str]:
    between = strings.bounds(found.low, found.high) if found.low is not None and found.high is not None else ""
    return strings.interval(found.value, None, None), between, "" if found.n is None else str(found.n)
