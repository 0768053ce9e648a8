"""What a PDF says of itself to a screen reader: headings, paragraphs, tables and figures, in order.

reportlab draws and does not tag. Here each flowable marks what it draws on the canvas (ISO 32000-1,
14.6), and `Tags.write` hangs the marks into the tree of the document (14.7) when its pages are
known. Lines, boxes and the margins of a page are artifacts: they are not read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reportlab.pdfbase.pdfdoc import (
    PDFArray,
    PDFDictionary,
    PDFDocument,
    PDFName,
    PDFObjectReference,
    PDFString,
)
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, Table

KINDS = {"title": "H1", "h2": "H2", "h3": "H3"}
"""What paragraphs are by the name of their style; all others are P."""


@dataclass
class _Element:
    """A node of the tree; `marks` are pages, from 0, and numbers of what is drawn there."""

    kind: str
    alt: str = ""
    marks: list[tuple[int, int]] = field(default_factory=list)
    inside: list["_Element"] = field(default_factory=list)


class Tags:
    """The tree of one document, as its pages are drawn one after the other."""

    def __init__(self) -> None:
        self._open = [_Element("Document")]
        self._marked: list[list[_Element]] = []  # by page, by number of the mark

    def push(self, kind: str, alt: str = "") -> None:
        """Begin a node."""
        self._open.append(_Element(kind, alt))
        self._open[-2].inside.append(self._open[-1])

    def pop(self) -> None:
        """End it."""
        self._open.pop()

    @contextmanager
    def drawn(self, canvas: Canvas, page: int, kind: str, alt: str = "") -> Iterator[None]:
        """What is drawn on a page in the block is one such piece of content."""
        self.push(kind, alt)
        self._marked += [[] for _ in range(page + 1 - len(self._marked))]
        number = len(self._marked[page])
        self._open[-1].marks.append((page, number))
        self._marked[page].append(self._open[-1])
        canvas._code.append(f"/{kind} <</MCID {number}>> BDC")
        yield
        canvas._code.append("EMC")
        self.pop()

    def write(self, document: PDFDocument, pages: list[PDFObjectReference]) -> None:
        """Put the tree into the document, whose pages these are."""
        root = PDFDictionary({"Type": PDFName("StructTreeRoot")})
        catalog = document.Catalog
        catalog.StructTreeRoot = root
        catalog.MarkInfo = PDFDictionary({"Marked": "true"})
        known: dict[int, PDFObjectReference] = {}
        root["K"] = _node(self._open[0], document.Reference(root), document, pages, known)
        numbers: list[Any] = []
        for page, marked in enumerate(self._marked):
            numbers += [page, PDFArray([known[id(element)] for element in marked])]
        root["ParentTree"] = document.Reference(PDFDictionary({"Nums": PDFArray(numbers)}))
        root["ParentTreeNextKey"] = len(self._marked)


def _node(
    element: _Element,
    parent: PDFObjectReference,
    document: PDFDocument,
    pages: list[PDFObjectReference],
    known: dict[int, PDFObjectReference],
) -> PDFObjectReference:
    made = PDFDictionary({"Type": PDFName("StructElem"), "S": PDFName(element.kind), "P": parent})
    own = known[id(element)] = document.Reference(made)
    kids: list[Any] = [_node(one, own, document, pages, known) for one in element.inside]
    for page, number in element.marks:
        made["Pg"] = pages[page]
        kids.append(number)
    made["K"] = PDFArray(kids)
    if element.alt:
        made["Alt"] = PDFString(element.alt)
    return own


@contextmanager
def artifact(canvas: Canvas) -> Iterator[None]:
    """What is drawn in the block is not read."""
    canvas._code.append("/Artifact BMC")
    yield
    canvas._code.append("EMC")


class TaggedParagraph(Paragraph):
    """A paragraph that is one, or a heading, by the name of its style."""

    def draw(self) -> None:
        """Onto the page's canvas."""
        kind = KINDS.get(self.style.name, "P")
        with self.canv.tags.drawn(self.canv, self.canv.page, kind):
            super().draw()


def tag_table(table: Table, event: str, *place: Any) -> None:
    """The `renderCB` of a table of data."""
    tags = table.canv.tags
    first = table.repeatRows and place and place[0] == 0
    if event in ("startTable", "startRow", "startCell"):
        cell = "TH" if first else "TD"
        tags.push({"startTable": "Table", "startRow": "TR", "startCell": cell}[event])
    elif event in ("endTable", "endRow", "endCell"):
        tags.pop()
    tag_layout(table, event)


def tag_layout(table: Table, event: str, *_: Any) -> None:
    """The `renderCB` of a table that only places things: its cells are read one after the other."""
    if event in ("startBG", "startLines"):
        table.canv._code.append("/Artifact BMC")
    elif event in ("endBG", "endLines"):
        table.canv._code.append("EMC")
