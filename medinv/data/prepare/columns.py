"""Columns of a list that subgroups can be made of, and nothing that names a patient."""

import math
import re
from collections.abc import Sequence

from medinv.data.prepare.labelled import Item

_IDENTIFIES = re.compile(
    r"(^|_| )(name|surname|mrn|ssn|birth|born|dob|address|phone|mail|accession|uid|id|path|file"
    r"|image|date|comment|report)s?(_| |$)|uid$|^patient"
)
_FILE = re.compile(r"[/\\].*\.\w{2,5}$")
_MOST = 100  # different values of a subgroup column
_FEW = 20  # so many may be as many as there are patients
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_EMPTY = ("", "nan", "none", "null", "na", "n/a")

Column = list[str] | list[int] | list[float]


def kept_columns(
    items: Sequence[Item], patients: int, *, phi: bool
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """Values of each column that is kept, and the names of those that are not.

    A column is left out where its name or the number of its different values says that it tells
    patients apart; `phi` keeps it. Numbers become numbers, what is not stated not a number or the
    empty word.
    """
    kept: dict[str, Column] = {}
    left_out = []
    for name in dict.fromkeys(name for item in items for name in item.columns):
        values = [_plain(item.columns.get(name, "")) for item in items]
        if not any(values):
            continue
        if phi or not _identifies(name, values, patients):
            kept[name] = _typed(values)
        else:
            left_out.append(name)
    return kept, tuple(left_out)


def _plain(text: str) -> str:
    return "" if text.casefold() in _EMPTY else text


def _identifies(name: str, values: Sequence[str], patients: int) -> bool:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
    if _IDENTIFIES.search(spaced) or spaced.startswith("column "):
        return True
    different = set(values) - {""}
    if any(map(_FILE.search, different)):
        return True
    numbers = all(map(_NUMBER.fullmatch, different))
    if numbers and max(map(float, different)) < 1000:  # an age, a dose, a grade
        return len(different) > _MOST and all("." not in value for value in different)
    return len(different) > min(_MOST, max(_FEW, patients // 2))


def _typed(values: Sequence[str]) -> Column:
    stated = [value for value in values if value]
    if not all(map(_NUMBER.fullmatch, stated)):
        return list(values)
    if len(stated) == len(values) and not any("." in value for value in values):
        return [int(value) for value in values]
    return [float(value) if value else math.nan for value in values]
