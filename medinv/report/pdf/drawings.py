"""What the PDF draws: pictures with marks, the probability's bar, colour bars. In points."""

from collections.abc import Sequence

from reportlab.lib.colors import white
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Flowable

from medinv.report import strings
from medinv.report.drawing import Picture, ScaleBar, SignedPicture
from medinv.report.pdf.parts import BOLD, FILL, INK, LINE, QUIET, REGULAR, TRACK
from medinv.report.pdf.tags import artifact


def _reader(picture: Picture) -> ImageReader:
    return ImageReader(picture.pixels)


class _Drawing(Flowable):
    """`alt` is what it shows, in words; empty where the text beside it says the same."""

    alt = ""

    def draw(self) -> None:
        """Onto the page's canvas."""
        tags, canvas = self.canv.tags, self.canv
        read = self.alt and tags.drawn(canvas, canvas.page, "Figure", self.alt)
        with read or artifact(canvas):
            self._draw()

    def _draw(self) -> None:
        raise NotImplementedError


class Figure(_Drawing):
    """Pictures over one another, all stretched to one shape.

    Side letters and a scale bar are drawn as type.
    """

    def __init__(
        self,
        shape: Picture,
        layers: Sequence[tuple[Picture, float]],
        box: tuple[float, float],
        alt: str,
        *,
        letters: tuple[str, str] | None = None,
        bar: ScaleBar | None = None,
    ):
        """shape: its proportions are the figure's; box: the largest width and height.

        layers: pictures with their opacity, lowest first; alt: what they show, in words.
        """
        super().__init__()
        self.scale = min(box[0] / shape.width, box[1] / shape.height)
        self.width, self.height = shape.width * self.scale, shape.height * self.scale
        self.layers, self.alt, self.letters, self.bar = layers, alt, letters, bar

    def wrap(self, *_: float) -> tuple[float, float]:
        """Its size (points), as reportlab asks for it."""
        return self.width, self.height + 3

    def _draw(self) -> None:
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


class Ruler(_Drawing):
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
        scale = strings.number(drawn.scale)
        self.ends = (f"\u2212{scale}", "0", f"+{scale}")
        self.alt = ", ".join(f"{end}: {word}" for end, word in zip(self.ends, words, strict=True))

    def wrap(self, *_: float) -> tuple[float, float]:
        """Its size (points), as reportlab asks for it."""
        return self.width, 29

    def _draw(self) -> None:
        self.canv.saveState()
        self.canv.setFillAlpha(self.opacity)
        self.canv.drawImage(_reader(self.bar), 0, 21, self.width, 6, mask="auto")
        self.canv.restoreState()
        self.canv.setStrokeColor(LINE)
        self.canv.setLineWidth(0.4)
        self.canv.rect(0, 21, self.width, 6)
        self.canv.setFillColor(QUIET)
        self.canv.setFont(REGULAR, 6.6)
        for y, (low, middle, high) in ((13.5, self.ends), (5.5, self.words)):
            self.canv.drawString(0, y, low)
            self.canv.drawCentredString(self.width / 2, y, middle)
            self.canv.drawRightString(self.width, y, high)


class ProbabilityBar(_Drawing):
    """From 0 to 100 %: the probability, its interval and the operating point."""

    def __init__(
        self,
        value: float,
        point: tuple[float, str] | None,
        between: tuple[float, float] | None,
        width: float,
    ):
        """point: where a class is called from, and that in words."""
        super().__init__()
        self.value, self.point, self.between, self.width = value, point, between, width
        self.alt = point[1] if point else ""

    def wrap(self, *_: float) -> tuple[float, float]:
        """Its size (points), as reportlab asks for it."""
        return self.width, 25

    def _draw(self) -> None:
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
        if self.point is None:
            return
        at, words = self.width * self.point[0], self.point[1]
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(1.4)
        canvas.line(at, 10.5, at, 24)
        half = pdfmetrics.stringWidth(words, REGULAR, 7) / 2
        canvas.setFillColor(INK)
        canvas.setFont(REGULAR, 7)
        canvas.drawCentredString(min(max(at, half), self.width - half), 3, words)


class ClassBar(_Drawing):
    """From 0 to 100 %: the probability of one class, with its interval where one is known."""

    def __init__(self, value: float, between: tuple[float, float] | None, width: float):
        super().__init__()
        self.value, self.between, self.width = value, between, width

    def wrap(self, *_: float) -> tuple[float, float]:
        """Its size (points), as reportlab asks for it."""
        return self.width, 9

    def _draw(self) -> None:
        canvas = self.canv
        canvas.setFillColor(TRACK)
        canvas.rect(0, 1, self.width, 6, stroke=0, fill=1)
        canvas.setFillColor(FILL)
        canvas.rect(0, 1, self.width * self.value, 6, stroke=0, fill=1)
        if self.between:
            low, high = (self.width * end for end in self.between)
            canvas.setFillColor(INK)
            canvas.setFillAlpha(0.62)
            canvas.rect(low, 2.8, max(high - low, 1), 2.4, stroke=0, fill=1)
            canvas.setFillAlpha(1)
