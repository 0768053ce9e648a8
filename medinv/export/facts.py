"""What an exported file says of its model, and what was written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinv.export.programs import Checked
from medinv.models.card import Card


@dataclass(frozen=True)
class Written:
    """Files, how far they are from the model, and words on what could not be."""

    files: tuple[Path, ...]
    checked: Checked
    words: tuple[str, ...] = ()


LAYOUT = (
    "not told here: which images are laid out otherwise than those of the model; "
    "`medinv classify` and a bundle call them out of scope"
)


def beside(path: Path, what: str) -> Path:
    """FILE-what.suffix."""
    return path.with_name(f"{path.stem}-{what}{path.suffix}")


def facts(card: Card, outputs: tuple[str, ...], scope: float | None) -> dict[str, Any]:
    """Names and numbers that a program without the card needs."""
    point = card.operating_point
    return {
        "model": card.name,
        "version": card.version,
        "classes": list(card.classes),
        "outputs": list(outputs),
        "image_shape": list(card.config.image_shape),
        "input": "grey levels 0 to 255, not standardised",
        "operating_point": None if point is None else point.threshold,
        "scope_threshold": scope,
        "layout": LAYOUT if card.layout_sha256 else None,
        "weights_sha256": card.weights_sha256,
        "intended_use": card.intended_use,
        "disclaimer": card.disclaimer,
    }
