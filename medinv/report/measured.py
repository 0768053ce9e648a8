"""Measured values with their intervals, as model cards give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A measured value with its 95 % interval and the number of cases behind it, where the card gives them."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


def measured(given: Mapping[str, Any] | float | None) -> Interval | None:
    """From a card: a mapping, a bare number or nothing."""
    if given is None:
        return None
    return (
        Interval(given["value"], given.get("low"), given.get("high"), given.get("n"))
        if isinstance(given, Mapping)
        else Interval(float(given))
    )
