"""Building blocks of the PDF: type, columns, boxes and tables. Lengths are in points."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from medinv.report.pdf.tags import TaggedParagraph, tag_layout, tag_table

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
    """DejaVu from matplotlib's own data, so that no font of the machine is needed.

    It covers Latin, Greek and Cyrillic and the signs of a formula.
    """
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
    "strong": _style("strong", 8.2, bold=True, after=2),
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


# Tables name Helvetica, which would not be embedded, even where all cells are paragraphs.
_FONT = ("FONTNAME", (0, 0), (-1, -1), REGULAR)


def text(words: str, style: str = "body") -> Paragraph:
    """Plain words as a paragraph; nothing in them is markup."""
    return TaggedParagraph(escape(words), STYLES[style])


def bullets(lines: Sequence[str], style: str = "body") -> list[Flowable]:
    """Lines with a dot before each."""
    return [text(f"\u2022 {line}", style) for line in lines]


def columns(cells: Sequence[Sequence[Flowable]], width: float, *, gap: float = 12) -> Table:
    """Flowables side by side in columns of equal width."""
    each = (width - gap * (len(cells) - 1)) / len(cells)
    table = Table(
        [[list(cell) for cell in cells]],
        colWidths=[each + gap] * (len(cells) - 1) + [each],
        hAlign="LEFT",
        renderCB=tag_layout,
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
        [[list(cell) for cell in cells]],
        colWidths=[width / len(cells)] * len(cells),
        hAlign="LEFT",
        renderCB=tag_layout,
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
    lines: Sequence[Sequence[Flowable | Sequence[Flowable]]],
    widths: Sequence[float],
    *,
    head: bool = False,
    plain: bool = False,
) -> Table:
    """A table with a line under each row unless plain; its head is repeated on the next page."""
    table = Table(
        [list(line) for line in lines],
        colWidths=list(widths),
        hAlign="LEFT",
        repeatRows=int(head),
        renderCB=tag_table if head else tag_layout,
    )
    everywhere = (0, 0), (-1, -1)
    table.setStyle(
        TableStyle(
            [
                _FONT,
                *([] if plain else [("LINEBELOW", *everywhere, 0.4, LINE)]),
                ("VALIGN", *everywhere, "TOP"),
                ("LEFTPADDING", *everywhere, 0),
                ("RIGHTPADDING", *everywhere, 6),
                ("TOPPADDING", *everywhere, 2),
                ("BOTTOMPADDING", *everywhere, 2.4),
            ]
        )
    )
    return table


def notice(parts: Sequence[Flowable], width: float, *, bad: bool = False) -> Table:
    """A box that is not overlooked."""
    table = Table(
        [[list(parts)]], colWidths=[width], hAlign="LEFT", spaceAfter=6, renderCB=tag_layout
    )
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


def table(head: Sequence[str], lines: Sequence[Sequence[str]], shares: Sequence[float]) -> Table:
    """Words in a table over the page's width, of which each column takes its share."""
    cells = [
        [text(name, "h3") for name in head],
        *([text(value, "cell") for value in line] for line in lines),
    ]
    return rows(cells, [WIDTH * share for share in shares], head=True)


def pairs_table(pairs: Sequence[tuple[str, str | Sequence[str]]], style: str = "cell") -> Table:
    """Names with words or lists of them; those without any are left out."""
    lines = [[text(name, "quiet"), _words(value, style)] for name, value in pairs if value]
    return rows(lines, [WIDTH * 0.22, WIDTH * 0.78])


def _words(value: str | Sequence[str], style: str) -> Flowable | list[Flowable]:
    return text(value, style) if isinstance(value, str) else bullets(value, style)
