"""Building blocks of the PDF: type, pictures with marks, the probability's bar, colour bars and tables. Lengths are in points."""

import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from xml.sax.saxutils import escape

from PIL import Image
from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from medinv.report import strings
from medinv.report.figures import Picture, ScaleBar, SignedPicture

MARGIN = 14 * mm
WIDTH = A4[0] - 2 * MARGIN
REGULAR, BOLD, MONO = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono"
INK, QUIET, LINE, TRACK, FILL = (
    HexColor(code) for code in ("#14191e", "#4c5761", "#c9d1d7", "#dfe5e9", "#0b6f86")
)
GOOD, BAD, WARN_PAPER, WARN_LINE, BAD_PAPER = (
    HexColor(code) for code in ("#17603a", "#8a1a14", "#fff6e0", "#b57b0e", "#fdeeec")
)


@cache
def register_fonts() -> None:
    """DejaVu from matplotlib's own data, so that no font of the machine is needed; it covers Latin, Greek and Cyrillic and the signs of a formula."""
    folder = files("matplotlib") / "mpl-data" / "fonts" / "ttf"
    for name in (REGULAR, BOLD, MONO):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    pdfmetrics.registerFontFamily(
        REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD
    )


def _style(
    name: str,
    size: float,
    *,
    bold: bool = False,
    colour: HexColor = INK,
    after: float = 3,
    leading: float = 1.32,
    **more: object,
) -> ParagraphStyle:
    font = BOLD if bold else REGULAR
    return ParagraphStyle(
        name,
        fontName=font,
        fontSize=size,
        leading=size * leading,
        textColor=colour,
        spaceAfter=after,
        **more,
    )


STYLES = {
    "title": _style("title", 20, bold=True, after=4, leading=1.12),
    "h2": _style("h2", 11, bold=True, after=4, spaceBefore=8, keepWithNext=True),
    "h3": _style("h3", 8.2, bold=True, after=3, spaceBefore=2, keepWithNext=True),
    "body": _style("body", 8.2, after=3),
    "lead": _style("lead", 9, after=4),
    "quiet": _style("quiet", 7, colour=QUIET, after=2),
    "cell": _style("cell", 7.4, after=0),
    "value": _style("value", 9.4, bold=True, after=1),
    "small": _style("small", 6.4, colour=QUIET, after=0, leading=1.25),
    "good": _style("good", 8.2, colour=GOOD),
    "bad": _style("bad", 8.2, colour=BAD),
    "mono": ParagraphStyle(
        "mono", fontName=MONO, fontSize=6.6, leading=8.6, textColor=INK, splitLongWords=1
    ),
}


_FONT = (
    "FONTNAME",
    (0, 0),
    (-1, -1),
    REGULAR,
)  # tables name Helvetica, which would not be embedded, even where all cells are paragraphs


def text(words: str, style: str = "body") -> Paragraph:
    """Plain words as a paragraph; nothing in them is markup."""
    return Paragraph(escape(words), STYLES[style])


def bullets(lines: Sequence[str], style: str = "body") -> list[Flowable]:
    return [text(f"\u2022 {line}", style) for line in lines]


def columns(cells: Sequence[Sequence[Flowable]], width: float, *, gap: float = 12) -> Table:
    """Flowables side by side in columns of equal width."""
    each = (width - gap * (len(cells) - 1)) / len(cells)
    table = Table(
        [[list(cell) for cell in cells]],
        colWidths=[each + gap] * (len(cells) - 1) + [each],
        hAlign="LEFT",
    )
    flush = [
        _FONT,
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
    ]
    table.setStyle(
        TableStyle(
            [
                *flush,
                ("RIGHTPADDING", (0, 0), (-2, -1), gap),
                ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def boxes(cells: Sequence[Sequence[Flowable]], width: float) -> Table:
    """Flowables side by side in a frame, one step after the other."""
    table = Table(
        [[list(cell) for cell in cells]], colWidths=[width / len(cells)] * len(cells), hAlign="LEFT"
    )
    inside = [
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    table.setStyle(
        TableStyle(
            [
                _FONT,
                *inside,
                ("BOX", (0, 0), (-1, -1), 0.5, LINE),
                ("INNERGRID", (0, 0), (-1, -1), 0.5, LINE),
            ]
        )
    )
    return table


def rows(
    lines: Sequence[Sequence[Flowable]], widths: Sequence[float], *, head: bool = False
) -> Table:
    """A table with a line under each row; its head is repeated on the next page."""
    table = Table(
        [list(line) for line in lines], colWidths=list(widths), hAlign="LEFT", repeatRows=int(head)
    )
    table.setStyle(
        TableStyle(
            [
                _FONT, ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 6), ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4),
            ]
        )
    )  # fmt: skip
    return table


def notice(parts: Sequence[Flowable], width: float, *, bad: bool = False) -> Table:
    """A box that is not overlooked."""
    table = Table([[list(parts)]], colWidths=[width], hAlign="LEFT", spaceAfter=6)
    paper, line = (BAD_PAPER, BAD) if bad else (WARN_PAPER, WARN_LINE)
    table.setStyle(
        TableStyle(
            [
                _FONT,
                ("BACKGROUND", (0, 0), (-1, -1), paper),
                ("LINEBEFORE", (0, 0), (0, -1), 2.5, line),
                ("LEFTPADDING", (0, 0), (-1, -1), 8),
            ]
        )
    )
    return table


def _reader(picture: Picture) -> ImageReader:
    return ImageReader(Image.open(io.BytesIO(picture.png)))


class Figure(Flowable):
    """Pictures over one another, all stretched to one shape, with side letters and a scale bar drawn as type."""

    def __init__(
        self,
        shape: Picture,
        layers: Sequence[tuple[Picture, float]],
        box: tuple[float, float],
        *,
        letters: tuple[str, str] | None = None,
        bar: ScaleBar | None = None,
    ):
        """shape: its proportions are the figure's; layers: pictures with their opacity, lowest first; box: the largest width and height."""
        super().__init__()
        self.scale = min(box[0] / shape.width, box[1] / shape.height)
        self.width, self.height = shape.width * self.scale, shape.height * self.scale
        self.layers, self.letters, self.bar = layers, letters, bar

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height + 3

    def draw(self) -> None:
        for picture, opacity in self.layers:
            self.canv.saveState()
            self.canv.setFillAlpha(opacity)
            self.canv.drawImage(_reader(picture), 0, 3, self.width, self.height, mask="auto")
            self.canv.restoreState()
        self.canv.setStrokeColor(LINE)
        self.canv.setLineWidth(0.4)
        self.canv.rect(0, 3, self.width, self.height)
        self._marks(min(max(min(self.width, self.height) * 0.055, 5), 9))

    def _marks(self, size: float) -> None:
        if self.letters:
            self._mark(self.letters[0], size * 0.5, self.height - size, size)
            right = self.width - size * 0.5 - pdfmetrics.stringWidth(self.letters[1], BOLD, size)
            self._mark(self.letters[1], right, self.height - size, size)
        if self.bar:
            length, left, low = self.bar.length_px * self.scale, size * 0.5, 3 + size * 0.6
            for colour, thickness in ((INK, 2.4), (white, 1.2)):
                self.canv.setStrokeColor(colour)
                self.canv.setLineWidth(thickness)
                self.canv.lines(
                    [
                        (left, low, left + length, low),
                        (left, low, left, low + 3),
                        (left + length, low, left + length, low + 3),
                    ]
                )
            self._mark(
                f"{strings.number(self.bar.length_mm, 2)} mm", left + length + 4, low, size * 0.8
            )

    def _mark(self, words: str, x: float, y: float, size: float) -> None:
        for outline in (True, False):  # white on a dark rim is legible on any image
            self.canv.saveState()
            self.canv.setLineWidth(1.6)
            self.canv.setStrokeColor(INK)
            self.canv.setFillColor(white)
            self.canv.setFont(BOLD, size)
            self.canv.drawString(x, y, words, mode=int(outline))
            self.canv.restoreState()


class Ruler(Flowable):
    """The colour bar of a signed map, with its ends and its zero in words."""

    def __init__(
        self,
        bar: Picture,
        drawn: SignedPicture,
        words: tuple[str, str, str],
        width: float,
        opacity: float = 1.0,
    ):
        """words: what the low end means, the unit, what the high end means."""
        super().__init__()
        self.bar, self.drawn, self.words, self.width, self.opacity = (
            bar,
            drawn,
            words,
            width,
            opacity,
        )

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, 29

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.setFillAlpha(self.opacity)
        self.canv.drawImage(_reader(self.bar), 0, 21, self.width, 6, mask="auto")
        self.canv.restoreState()
        self.canv.setStrokeColor(LINE)
        self.canv.setLineWidth(0.4)
        self.canv.rect(0, 21, self.width, 6)
        self.canv.setFillColor(QUIET)
        self.canv.setFont(REGULAR, 6.6)
        scale = strings.number(self.drawn.scale)
        for y, (low, middle, high) in (
            (13.5, (f"\u2212{scale}", "0", f"+{scale}")),
            (5.5, self.words),
        ):
            self.canv.drawString(0, y, low)
            self.canv.drawCentredString(self.width / 2, y, middle)
            self.canv.drawRightString(self.width, y, high)


class ProbabilityBar(Flowable):
    """From 0 to 100 %: the probability, its interval and the operating point."""

    def __init__(
        self,
        value: float,
        threshold: float | None,
        between: tuple[float, float] | None,
        width: float,
    ):
        super().__init__()
        self.value, self.threshold, self.between, self.width = value, threshold, between, width

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, 25

    def draw(self) -> None:
        canvas = self.canv
        canvas.setFillColor(TRACK)
        canvas.rect(0, 13, self.width, 8, stroke=0, fill=1)
        canvas.setFillColor(FILL)
        canvas.rect(0, 13, self.width * self.value, 8, stroke=0, fill=1)
        if self.between:
            low, high = (self.width * end for end in self.between)
            canvas.setFillColor(INK)
            canvas.setFillAlpha(0.62)
            canvas.rect(low, 15.5, max(high - low, 1), 3, stroke=0, fill=1)
            canvas.setFillAlpha(1)
        if self.threshold is None:
            return
        at, words = (
            self.width * self.threshold,
            f"{strings.OPERATING_POINT} {strings.percent(self.threshold)}",
        )
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(1.4)
        canvas.line(at, 10.5, at, 24)
        half = pdfmetrics.stringWidth(words, REGULAR, 7) / 2
        canvas.setFillColor(INK)
        canvas.setFont(REGULAR, 7)
        canvas.drawCentredString(min(max(at, half), self.width - half), 3, words)
