"""The page of an audit: pictures first, every figure folded below."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from medinv.audit.examples import Example, Shown
from medinv.audit.result import Audit, Figure
from medinv.models.card import Card
from medinv.report import html
from medinv.report.drawing import EVIDENCE, Picture, colour_bar, diverging

DOTS = (
    "whole.auc",
    "region-alone.auc",
    "region-blanked.auc",
    "border.linear",
    "border.model",
    "exchange.follows-region",
    "exchange.follows-surround",
    "evidence.inside",
)
FULL = 0.995  # quantile of the sizes of a row's evidence that is full colour


@dataclass(frozen=True)
class Drawn:
    """One picture of an example, and its evidence to lie over it."""

    shown: Shown
    image: Picture
    evidence: Picture


@dataclass(frozen=True)
class Row:
    """One image of the data set, as it is and changed."""

    truth: str
    drawn: tuple[Drawn, ...]


def render_audit(audit: Audit, card: Card, examples: tuple[Example, ...]) -> bytes:
    """The page as one HTML file that opens offline."""
    return html.page(
        "audit.html",
        audit.model.name,
        audit=audit,
        card=card,
        rows=[_row(one) for one in examples],
        dots=[figure for key in DOTS for figure in audit.figures if figure.key == key],
        groups=_grouped(audit.figures),
        evidence_bar=colour_bar(EVIDENCE),
    )


def _grouped(figures: tuple[Figure, ...]) -> dict[str, list[Figure]]:
    groups: dict[str, list[Figure]] = {}
    for one in figures:
        groups.setdefault(one.group, []).append(one)
    return groups


def _row(example: Example) -> Row:
    first = np.abs(example.shown[0].evidence)
    scale = float(np.quantile(first, FULL)) or float(first.max())
    drawn = tuple(
        Drawn(one, _png(one.image), _png(diverging(one.evidence, scale, EVIDENCE)))
        for one in example.shown
    )
    return Row(example.truth, drawn)


def _png(pixels: np.ndarray) -> Picture:
    """(h, w), (h, w, 3) or (h, w, 4) uint8 as they are: the page enlarges them unsmoothed."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return Picture(buffer.getvalue(), pixels.shape[1], pixels.shape[0])
