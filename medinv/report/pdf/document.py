"""The report as PDF: the words and pictures of the page, on A4, with fonts embedded and no date.

Equal results give equal bytes. It is made with reportlab, which needs no library of the system.
Page one says the answer, how sure it is, where it came from and whether the checks held.
"""

import io
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfdoc import PDFName
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
)

from medinv.analysis.result import StudyResult
from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.figures import Pictures
from medinv.report.pdf.image import image_page
from medinv.report.pdf.parts import (
    BOLD,
    INK,
    LINE,
    MARGIN,
    QUIET,
    REGULAR,
    WIDTH,
    bullets,
    register_fonts,
    text,
)
from medinv.report.pdf.proof import proof
from medinv.report.pdf.screen import certainty, notices, scope, screen
from medinv.report.pdf.tables import excluded, image_table, model_section, series_table
from medinv.report.pdf.tags import Tags, artifact

TOP, BOTTOM = 17 * mm, 14 * mm


def render(result: StudyResult, card: Card, pictures: Pictures) -> bytes:
    """One study's report, the same bytes for the same result."""
    register_fonts()
    visible, buffer = derived.presented(result), io.BytesIO()
    height = A4[1] - TOP - BOTTOM
    padding = {f"{side}Padding": 0 for side in ("left", "right", "top", "bottom")}
    frame = Frame(MARGIN, BOTTOM, WIDTH, height, **padding)
    headline = strings.headline(visible.status, visible.called)
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=f"{strings.TITLE}: {headline}",
        author=strings.made_by(derived.MEDINV),
        subject=strings.RESEARCH_USE,
        creator="medinv",
        lang=strings.LANG,
        invariant=1,
        displayDocTitle=True,
        initialFontName=REGULAR,
    )
    document.addPageTemplates(PageTemplate("page", [frame]))

    def canvas(*args: Any, **values: Any) -> Canvas:
        return _NumberedCanvas(*args, study=visible.study_uid, **values)

    document.build(_story(visible, card, pictures), canvasmaker=canvas)
    return buffer.getvalue()


class _NumberedCanvas(Canvas):
    """Writes the margins when the number of pages is known: the disclaimer is on every page."""

    def __init__(self, *args: Any, study: str, **values: Any):
        super().__init__(*args, **values)
        self._study, self.tags = study, Tags()
        self._pages: list[dict[str, Any]] = []

    @property
    def page(self) -> int:
        """The number, from 0, of the page that is drawn on."""
        return len(self._pages)

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        pages = []
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            with artifact(self):
                self._margins(f"{number} / {len(self._pages)}")
            pages.append(self._doc.thisPageRef())
            super().showPage()
            made = self._doc.Pages.pages[-1]
            made.__NoDefault__ = [*made.__NoDefault__, "StructParents", "Tabs"]
            made.StructParents, made.Tabs = number - 1, PDFName("S")
        self.tags.write(self._doc, pages)
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


def _story(result: StudyResult, card: Card, pictures: Pictures) -> list[Flowable]:
    panels, count = pictures.panels, len(result.instances)
    alone, lead = count <= 1, pictures.panels[0] if pictures.panels else None
    story = [*notices(result, card, lead), *screen(result, card, lead)]
    if result.answer and not alone:
        story.append(text(strings.images_shown(len(panels), count, result.in_scope), "quiet"))
    for index, panel in enumerate(panels):
        story += [PageBreak()] if index else []
        first = [] if index else _number(result, card)
        story += image_page(panel, card, first, heading=not alone)
    if panels and panels[0].explained:
        story.append(CondPageBreak(90 * mm))
        for panel in panels:
            story += proof(panel, card, heading=not alone)
    story += series_table(result) if len(result.series) > 1 else []
    story += [] if alone else image_table(result)
    story += [*excluded(result), *model_section(result, card)]
    return [*story, text(strings.DISCLAIMERS_HEADING, "h2"), *bullets(strings.DISCLAIMERS)]


def _number(result: StudyResult, card: Card) -> list[Flowable]:
    """How sure the study's answer is, in full sentences."""
    told, trip, count = result.answer, result.reconstruction, len(result.instances)
    said = certainty(result, told, card) if told else []
    if told and count == 1:
        said += scope(result.instances[0], card)
    if trip:
        words = strings.study_reconstruction(trip.exact, trip.bits, trip.max_abs_error, count)
        said.append(text(words))
    return said
