"""A model card in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medinv.report.strings.audit import AUDITED, CAUTIONS_HEADING, LOOKS_AT, audited_on, looks_at
from medinv.report.strings.labels import (
    CALIBRATION,
    CLASSES,
    DATA_LICENCE,
    EXACTNESS,
    INTAKE,
    INTENDED_USE,
    LIMITS,
    METRIC_NAMES,
    NOT_TESTED,
    SCOPE,
    SPLITS,
    SUBGROUPS,
    TASK,
    TRAINED_ON,
)
from medinv.report.strings.numbers import estimate, key_words, plain

if TYPE_CHECKING:
    from medinv.metrics import Estimate
    from medinv.models.card import Card

SUBGROUPS_UNKNOWN = (
    "The model card gives no performance by subgroup (sex, age, device, site); none is known."
)


def card_facts(
    card: Card, calibration: dict[str, Any]
) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    """Names with a card's words, empty where it has none.

    calibration: the card's, without its tables.
    """
    scope, exactness = (
        plain(part.model_dump()) if part else "" for part in (card.scope, card.exactness)
    )
    return (
        (INTENDED_USE, card.intended_use),
        (TASK, card.task),
        (LOOKS_AT, looks_at(card)),
        (CAUTIONS_HEADING, card.audit.cautions if card.audit else ()),
        (AUDITED, audited_on(card)),
        (CLASSES, ", ".join(card.classes)),
        (TRAINED_ON, card.training_data),
        (DATA_LICENCE, card.data_licence),
        (SPLITS, plain(card.splits)),
        (INTAKE, card.intake),
        (CALIBRATION, plain(calibration)),
        (SCOPE, scope),
        (EXACTNESS, exactness),
        (SUBGROUPS, SUBGROUPS_UNKNOWN),
        (LIMITS, card.limits),
        (NOT_TESTED, card.not_tested),
    )


def class_estimate(given: Estimate | None) -> str:
    """A measure of one class in a table; a dash where it is not defined."""
    return estimate(given) if given else "\u2013"


def called_as(called: Sequence[int], classes: Sequence[str]) -> str:
    """What the images of a class were called, the most frequent first: a row of the confusion."""
    ranked = sorted(zip(called, classes, strict=True), key=lambda pair: -pair[0])
    return ", ".join(f"{count}\u00a0{name}" for count, name in ranked if count) or "\u2013"


def metric_name(key: str) -> str:
    """A metric's name in words."""
    return METRIC_NAMES.get(key, key_words(key))
