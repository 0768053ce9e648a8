"""Which images of a set are looked at together: by words, by numbers cut into bins."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medinv.data.sets.labelled import Part
from medinv.errors import ConfigError

AGES = (18.0, 40.0, 65.0)  # where ages are divided, years
NOT_STATED = "not stated"
FEW = 8  # values of a column of numbers that are taken as they are
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)([YMWD]?)")
_A_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}  # PS3.5: AS
Subgroup = tuple[str, str, NDArray]
"""A column, a value of it, and the rows (N,) bool that have it."""


def subgroups(
    part: Part, columns: Sequence[str], edges: Mapping[str, Sequence[float]]
) -> Iterator[Subgroup]:
    """Every subgroup of the columns, in order: see `grouped`.

    Raises ConfigError for a column that is not there.
    """
    for column in columns:
        if column not in part.columns:
            have = ", ".join(sorted(part.columns)) or "none"
            raise ConfigError(f"--by {column}: the set has no such column; it has {have}")
        values = part.columns[column]
        for name, rows in grouped(column, values, values, edges.get(column)).items():
            yield column, name, rows


def grouped(
    column: str, values: NDArray, reference: NDArray, edges: Sequence[float] | None = None
) -> dict[str, NDArray]:
    """By name the rows (N,) bool of a column's values (N,) that are taken together, in order.

    Words are taken as they are, and so are numbers unless `edges` are given or `reference`, the
    same column perhaps of other images, holds more than eight: then they are cut at `edges`, ages
    at 18, 40 and 65 where that divides them, others at the quartiles of `reference`.
    """
    known, numbers = _numbers(reference), _numbers(values)
    if known is not None and numbers is not None:
        known, values = known[np.isfinite(known)], numbers
        if edges or len(np.unique(known)) > FEW:
            return _bins(numbers, edges or _edges(column, known))
    names = np.array([_word(value) for value in values], dtype=str)
    order = sorted(set(names.tolist()), key=lambda word: (word == NOT_STATED, word))
    return {name: names == name for name in order}


def _numbers(values: NDArray) -> NDArray | None:
    """Floats where every value that is stated is a number, or an age of DICOM in years, and NaN
    where nothing is; None where one is a word.
    """
    if values.dtype.kind in "iuf":
        return values.astype(float)
    stated = [str(value).strip() for value in values if _word(value) != NOT_STATED]
    matches = {text: _NUMBER.fullmatch(text) for text in stated}
    if not stated or not all(matches.values()):
        return None
    numbers = {
        text: float(match[1]) / _A_YEAR[match[2]] for text, match in matches.items() if match
    }
    return np.array([numbers.get(str(value).strip(), np.nan) for value in values])


def _word(value: object) -> str:
    text = "" if value is None or value != value else str(value)  # NaN differs from itself
    return text.removesuffix(".0").strip() or NOT_STATED


def _edges(column: str, values: NDArray) -> Sequence[float]:
    divided = np.unique(np.searchsorted(AGES, values, side="right"))
    if column.lower() == "age" and len(divided) > 1:
        return AGES
    return np.unique(np.round(np.quantile(values, [0.25, 0.5, 0.75]), 3)).tolist()


def _bins(values: NDArray, edges: Sequence[float]) -> dict[str, NDArray]:
    stated, found = np.isfinite(values), {}
    for low, high in pairwise([-np.inf, *sorted(edges), np.inf]):
        rows = stated & (values >= low) & (values < high)
        if rows.any():
            name = f"{low:g} to below {high:g}" if np.isfinite(low) else f"below {high:g}"
            found[name if np.isfinite(high) else f"{low:g} and above"] = rows
    return found if stated.all() else {**found, NOT_STATED: ~stated}
