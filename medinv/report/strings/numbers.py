"""How numbers are written, and the words of a card's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medinv.report.strings.labels import NO, YES

if TYPE_CHECKING:
    from medinv.metrics import Estimate

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """With a true minus sign; powers of ten where plain digits would be long."""
    if value == 0:
        return "0"
    # The power is that of the rounded value: 9.999 is written 10.0.
    power = int(f"{value:.{digits - 1}e}".split("e")[1])
    if -4 < power < 6:
        return f"{value:.{max(digits - 1 - power, 0)}f}".replace("-", "\u2212")
    mantissa, power_of_ten = f"{value:.1e}".split("e")
    raised = str(int(power_of_ten)).translate(_SUPERSCRIPTS)
    return f"{mantissa}\u00a0\u00d7\u00a010{raised}".replace("-", "\u2212")


def signed(value: float, digits: int = 3) -> str:
    """The same with a plus sign above zero."""
    return ("+" if value > 0 else "") + number(value, digits)


def fixed(value: float) -> str:
    """Four decimals and a sign: terms of a sum are written alike."""
    return f"{value:+.4f}".replace("-", "\u2212")


def percent(share: float) -> str:
    """One decimal; never rounded to certainty."""
    if 0 < share < 0.0005:
        return "under 0.1\u00a0%"
    if 0.9995 <= share < 1:
        return "over 99.9\u00a0%"
    return f"{100 * share:.1f}\u00a0%"


def whole(share: float) -> str:
    """Without decimals, for what is read at a glance; never rounded to none or to all."""
    if 0 < share < 0.005:
        return "under 1\u00a0%"
    if 0.995 <= share < 1:
        return "over 99\u00a0%"
    return f"{100 * share:.0f}\u00a0%"


def edge(share: float) -> str:
    """The edge of a range of probabilities, without decimals that it does not have."""
    return f"{100 * share:g}\u00a0%"


def edges(low: float, high: float) -> str:
    """A range of probabilities."""
    return f"{edge(low)} to {edge(high)}"


def between(low: float, high: float) -> str:
    """A range of shares in a table."""
    return f"{percent(low)} \u2013 {percent(high)}"


def counted(count: int, words: tuple[str, str]) -> str:
    """The count with its noun in singular or plural; empty for none."""
    return f"{count:,} {words[count != 1]}" if count else ""


def plain(value: Any) -> str:
    """A card's value in words: numbers shortened, mappings and lists spelled out."""
    if isinstance(value, Mapping):
        if "value" in value:
            return interval(value["value"], value.get("low"), value.get("high"))
        return "; ".join(f"{key_words(key)}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return number(value, 4) if isinstance(value, float) else str(value)


def key_words(key: object) -> str:
    """A field's name in words."""
    return str(key).replace("_", " ")


def estimate(metric: Estimate) -> str:
    """A measured value with its interval."""
    return interval(metric.value, metric.low, metric.high)


def interval(value: float, low: float | None, high: float | None) -> str:
    """A measured value, with its bounds where they are given."""
    ends = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{value:.3f}{ends}"


def bounds(low: float, high: float) -> str:
    """The bounds of a measured value in a table."""
    return f"{low:.3f} \u2013 {high:.3f}"
