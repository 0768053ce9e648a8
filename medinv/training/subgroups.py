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
    """Every subgroup of the columns, in order.

    Columns of numbers with more than eight values are cut at `edges`, ages at 18, 40 and 65, others
    at their quartiles. Raises ConfigError for a column that is not there.
    """
    for column in columns:
        if column not in part.columns:
            have = ", ".join(sorted(part.columns)) or "none"
            raise ConfigError(f"--by {column}: the set has no such column; it has {have}")
        values = _numbers(part.columns[column])
        numeric = values.dtype.kind in "iuf"
        if numeric and (column in edges or len(np.unique(values)) > FEW):
            yield from _bins(column, values.astype(float), edges.get(column))
            continue
        names = np.array([_word(value) for value in values], dtype=str)
        for name in sorted(set(names), key=lambda word: (word == NOT_STATED, word)):
            yield column, name, names == name


def _numbers(values: NDArray) -> NDArray:
    """Words as floats where every word that is stated is a number, or an age of DICOM in years."""
    stated = [text for text in values.tolist() if isinstance(text, str) and text.strip()]
    matches = {text: _NUMBER.fullmatch(text.strip()) for text in stated}
    if not stated or not all(matches.values()):
        return values
    numbers = {
        text: float(match[1]) / _A_YEAR[match[2]] for text, match in matches.items() if match
    }
    return np.array([numbers.get(text, np.nan) for text in values.tolist()])


def _word(value: object) -> str:
    text = "" if value != value else str(value)  # not a number differs from itself
    return text.removesuffix(".0").strip() or NOT_STATED


def _bins(column: str, values: NDArray, edges: Sequence[float] | None) -> Iterator[Subgroup]:
    stated = np.isfinite(values)
    if edges is None:
        quartiles = np.unique(np.round(np.quantile(values[stated], [0.25, 0.5, 0.75]), 3))
        edges = AGES if column.lower() == "age" else quartiles.tolist()
    bounds = [-np.inf, *sorted(edges), np.inf]
    for low, high in pairwise(bounds):
        rows = stated & (values >= low) & (values < high)
        if rows.any():
            named = f"{low:g} to below {high:g}" if np.isfinite(low) else f"below {high:g}"
            yield column, named if np.isfinite(high) else f"{low:g} and above", rows
    if not stated.all():
        yield column, NOT_STATED, ~stated
