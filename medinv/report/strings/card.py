"""A model card in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from medinv.report.strings.numbers import key_words, plain

if TYPE_CHECKING:
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


def metric_name(key: str) -> str:
    """A metric's name in words."""
    return METRIC_NAMES.get(key, key_words(key))
