"""The report as PDF: the same content and the same words as the page, on A4, with fonts embedded and no date, so that equal contents give equal bytes.

Made with reportlab, which needs no library of the system. Page one says the answer, how sure it is, where it came from and whether the checks held.
"""

import io
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Spacer,
)

from medinv.report import figures, strings
from medinv.report.content import ImageContent, StudyContent
from medinv.report.model_facts import ModelFacts
from medinv.report.output import write_page
from medinv.report.pdf.parts import (
    BOLD, INK, LINE, MARGIN, QUIET, REGULAR, WIDTH, Figure, ProbabilityBar, Ruler, boxes, bullets, columns, notice, register_fonts, text,
)  # fmt: skip
from medinv.report.pdf.sections import (
    excluded,
    image_table,
    intake_words,
    measured_words,
    model_section,
    nearest_cases,
    overlay,
    proof,
    series_table,
)

TOP, BOTTOM = 17 * mm, 14 * mm
SHOWN_IN_FULL = 6  # images, as on the page


def write_pdf(content: StudyContent, path: Path) -> Path:
    """Write one study's report; raises OutputError when it cannot be written."""
    return write_page(path, pdf_bytes(content))


def pdf_bytes(content: StudyContent) -> bytes:
    """The report's bytes, the same for the same content."""
    register_fonts()
    buffer = io.BytesIO()
    frame = Frame(
        MARGIN,
        BOTTOM,
        WIDTH,
        A4[1] - TOP - BOTTOM,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    headline = strings.headline(content.status, content.label)
    document = BaseDocTemplate(buffer, pagesize=A4, title=f"{strings.TITLE}: {headline}", author=strings.made_by(content.medinv_version),
                               subject=strings.RESEARCH_USE, creator="medinv", lang=strings.LANG, invariant=1, displayDocTitle=True, initialFontName=REGULAR)  # fmt: skip
    document.addPageTemplates(PageTemplate("page", [frame]))
    document.build(
        _story(content),
        canvasmaker=lambda *args, **values: _NumberedCanvas(
            *args, study=content.study_uid or "", **values
        ),
    )
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
        story.append(
            text(strings.images_shown(len(panels), len(content.images), content.in_scope), "quiet")
        )
    if content.reconstruction and not (alone and content.in_scope):
        r = content.reconstruction
        story.append(
            text(
                strings.study_reconstruction(r.exact, r.bits, r.max_abs_error, len(content.images)),
                "quiet",
            )
        )
    for index, panel in enumerate(panels):
        story += [PageBreak()] if index else []
        story += _image(panel, content.model, heading=not alone)
    if panels and panels[0].explained:
        story.append(CondPageBreak(90 * mm))
        for panel in panels:
            story += proof(panel, content.model, heading=not alone)
    listed = [
        *(series_table(content) if len(content.series) > 1 else []),
        *([] if alone else image_table(content)),
    ]
    story += [
        *listed,
        *excluded(content),
        *model_section(content.model),
        text(strings.DISCLAIMERS_HEADING, "h2"),
    ]
    return [*story, *bullets(content.disclaimers)]


def _verdict(content: StudyContent) -> list[Flowable]:
    model = content.model
    left = [
        text(f"{strings.STUDY} {content.study_uid or strings.NO_STUDY}", "quiet"),
        text(strings.headline(content.status, content.label), "title"),
    ]
    named = text(
        f"{strings.MODEL}: {strings.model_line(model.title, model.name, model.version)}", "quiet"
    )
    if not (content.in_scope and content.positive is not None):
        return [*left, named]
    point, name, sure = model.operating_point, content.probabilities[1][0], content.uncertainty
    threshold = point.threshold if point else None
    left += [
        text(
            strings.verdict(content.label, name, content.positive, threshold, len(content.images)),
            "lead",
        )
    ]
    if content.inside > 1:
        left.append(
            text(
                strings.highest_of(content.inside) if sure else strings.UNCERTAINTY_SEVERAL, "quiet"
            )
        )
    left.append(named)
    if len(content.images) == 1:
        left += _scope(content.images[0])
    if point:
        measured = strings.operating_figures(
            measured_words(point.sensitivity), measured_words(point.specificity)
        )
        left.append(
            text(
                f"{strings.operating_point(name, point.threshold, point.chosen_on)} {measured}",
                "quiet",
            )
        )
    right = [
        text(strings.percent(content.positive), "title"),
        *([text(strings.uncertain(sure.low, sure.high))] if sure else []),
    ]
    right += [
        text(strings.probability_of(name)),
        ProbabilityBar(
            content.positive, threshold, (sure.low, sure.high) if sure else None, WIDTH * 0.46
        ),
    ]
    right.append(text(_certainty(content, name), "quiet"))
    return [columns([left, right], WIDTH, gap=18), Spacer(0, 4)]


def _certainty(content: StudyContent, name: str) -> str:
    sure = content.uncertainty
    if sure is None:
        return strings.UNCERTAINTY_SEVERAL if content.several else strings.UNCERTAINTY_UNKNOWN
    words, seen = [strings.uncertain_reading(sure.images, sure.patients)], sure.observed
    if seen is None:
        return " ".join([*words, strings.OBSERVED_NONE])
    words.append(
        strings.observed_share(
            name,
            (seen.low, seen.high),
            (seen.share.value, seen.share.low, seen.share.high),
            seen.share.n,
        )
    )
    return " ".join(
        words + ([] if sure.observed_covers(content.positive) else [strings.OBSERVED_DIFFERS])
    )


def _scope(image: ImageContent) -> list[Flowable]:
    sentence = strings.scope_sentence(
        image.scope.in_scope, image.scope.score, image.scope.threshold
    )
    return [*bullets(image.scope.reasons), *([text(sentence, "quiet")] if sentence else [])]


def _notices(content: StudyContent) -> list[Flowable]:
    found: list[Flowable] = []
    if content.error:
        stage = f" ({strings.STAGE}: {content.error.stage})" if content.error.stage else ""
        found.append(
            notice(
                [text(content.error.code + stage, "h3"), text(content.error.message)],
                WIDTH,
                bad=True,
            )
        )
    if content.status == "ok" and not content.in_scope:
        reasons = _scope(content.images[0]) if len(content.images) == 1 else []
        found.append(
            notice(
                [text(strings.NO_LABEL, "h3"), text(strings.SCOPE_REFUSAL), *reasons],
                WIDTH,
                bad=True,
            )
        )
    if content.warnings:
        head = strings.WARNINGS if len(content.warnings) > 1 else strings.WARNING
        found.append(notice([text(head, "h3"), *bullets(content.warnings)], WIDTH))
    return found


def _image(panel: figures.Panel, model: ModelFacts, *, heading: bool) -> list[Flowable]:
    """The image, its evidence, the checks and the counterfactual: one page."""
    image, arrays, half = panel.image, panel.image.arrays, (WIDTH - 12) / 2
    explanation = arrays.explanation
    box = (
        half,
        (55 if explanation and explanation.counterfactual.valid else 80) * mm,
    )  # with the counterfactual's strip below, all is to fit one page
    left = [
        text(strings.NATIVE_HEADING, "h3"),
        Figure(panel.native, [(panel.native, 1)], box, letters=arrays.laterality, bar=panel.bar),
        text(
            f"{strings.scale_note(arrays.spacing, panel.bar.length_mm if panel.bar else None)} {strings.letters_note(arrays.laterality)}",
            "quiet",
        ),
    ]
    if panel.explained is None:
        left.append(text(intake_words(panel), "quiet"))
        right = [text(strings.INPUT, "h3"), Figure(panel.input, [(panel.input, 1)], box)]
        return [*_heading(image, heading), columns([left, right], WIDTH)]
    right = _evidence(panel, model, box)
    parts = [
        *_heading(image, heading),
        columns([left, right], WIDTH),
        *_how(panel, model),
        *_checks(panel, model),
        *_counterfactual(panel),
    ]
    return [*parts, *nearest_cases(image)]


def _heading(image: ImageContent, wanted: bool) -> list[Flowable]:
    if not wanted:
        return []
    if not image.scope.in_scope:
        return [
            text(strings.image_heading(image.number, strings.FLAG_OUT_OF_SCOPE, None, None), "h2"),
            *_scope(image),
        ]
    named = image.probabilities[1] if image.positive is not None else (None, None)
    return [text(strings.image_heading(image.number, image.label, *named), "h2"), *_scope(image)]


def _evidence(panel: figures.Panel, model: ModelFacts, box: tuple[float, float]) -> list[Flowable]:
    shown, local = panel.explained.shown, panel.image.arrays.explanation.local_evidence
    sums = shown.balance
    negative, positive = model.classes
    said = [strings.evidence_reading(shown.block, positive, negative)]
    if local is None or local.valid:
        said.append(
            strings.evidence_place(shown.block, sums.place, sums.largest, positive, negative)
        )
    return [
        text(strings.EVIDENCE_BY[shown.block], "h3"),
        *overlay(panel, shown, model, box),
        text(" ".join(said), "quiet"),
    ]


def _how(panel: figures.Panel, model: ModelFacts) -> list[Flowable]:
    shown, point = panel.explained.shown, model.operating_point
    terms = shown.bias, shown.balance.towards, shown.balance.against, shown.logit
    steps = strings.decision_steps(
        model.classes,
        shown.block,
        terms,
        panel.image.positive,
        point.threshold if point else None,
        panel.image.label,
    )
    return [
        text(strings.HOW_HEADING, "h3"),
        boxes([[text(value, "value"), text(what, "small")] for value, what in steps], WIDTH),
        Spacer(0, 4),
    ]


def _checks(panel: figures.Panel, model: ModelFacts) -> list[Flowable]:
    explanation = panel.image.arrays.explanation
    r, cf, local = explanation.reconstruction, explanation.counterfactual, explanation.local_evidence
    checked = local and text(
        strings.local_check(local.check, panel.image.label, model.classes[0]),
        "good" if local.valid else "body",
    )
    cells = [
        [
            text(
                strings.reconstruction_check(r.exact, r.bits, r.max_abs_error),
                "good" if r.exact else "bad",
            )
        ],
        [text(strings.evidence_check(panel.explained.shown.residual))],
        *([[checked]] if checked else []),
        [
            text(
                strings.counterfactual_recheck(cf.target, cf.flipped, cf.in_scope),
                "good" if cf.valid else "bad",
            )
        ],
    ]
    return [text(strings.AT_A_GLANCE, "h3"), columns(cells, WIDTH)]


def _counterfactual(panel: figures.Panel) -> list[Flowable]:
    cf, drawn = panel.image.arrays.explanation.counterfactual, panel.explained
    words = [
        strings.counterfactual_reading(cf.target, cf.flipped, cf.in_scope, cf.method), strings.counterfactual_check(cf.target, cf.flipped, cf.logit),
        strings.counterfactual_size(cf.rms, cf.changed, cf.out_of_range),
    ]  # fmt: skip
    found = [text(strings.counterfactual_heading(cf.target, cf.valid), "h2"), text(" ".join(words))]
    if not cf.valid:
        return found
    count = len(drawn.frames)
    box = (WIDTH - 6 * count) / (count + 1), 27 * mm
    cells = [
        [Figure(panel.native, [(frame, 1)], box), text(strings.frame_name(n, count), "quiet")]
        for n, frame in enumerate(drawn.frames)
    ]
    difference = Figure(panel.native, [(drawn.difference.picture, 1)], box)
    cells.append([difference, text(strings.DIFFERENCE, "quiet")])
    ruler = Ruler(
        figures.colour_bar(figures.CHANGE),
        drawn.difference,
        (strings.DARKER, strings.DIFFERENCE_UNIT, strings.BRIGHTER),
        WIDTH * 0.4,
    )
    note = text(
        f"{strings.DIFFERENCE_READING} {strings.difference_scale(drawn.difference.scale, drawn.difference.clipped)}",
        "quiet",
    )
    return [*found, columns(cells, WIDTH, gap=6), columns([[note], [ruler]], WIDTH)]
