"""Which row of a list is which image: by one column, against one kind of name, without doubt."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medinv.data.dicom.patient import patient_id
from medinv.data.prepare.items import Found
from medinv.data.prepare.labels import LabelTable, Row
from medinv.errors import ConfigError, DataError

# Kinds of names, the likelier first; the first ones name one image, the others as many as it takes.
_SINGLE = ("path", "file name", "file name without its ending", "SOP Instance UID")
_TOLD = ("path", "SOP Instance UID", "study UID")  # where nothing fits
KINDS = (*_SINGLE, "folder", "series UID", "study UID", "patient")


@dataclass(frozen=True)
class Match:
    """What became of every image and every row.

    `rows` are by image, None without one; `others` are further rows with the same label, such as
    those of copies of its file. `contradictions` are images that two rows give two
    labels, `ambiguous` those whose name another image has too; neither has a row.
    """

    column: str
    kind: str
    rows: tuple[Row | None, ...]
    contradictions: frozenset[int]
    ambiguous: frozenset[int]
    unused: tuple[Row, ...]  # labels for nothing
    others: Mapping[int, tuple[Row, ...]]

    @property
    def says(self) -> str:
        """Which column was taken as the key."""
        return f"column {self.column!r}, by {self.kind}"


def match(
    table: LabelTable, images: Sequence[Found], key: str | None = None, *, phi: bool = False
) -> Match:
    """The column, and the kind of name, that most images are found by.

    `key` names the column. Raises ConfigError for a column that is not there or where two columns
    tell other labels of as many images, and DataError where no row fits any image.
    """
    columns = _columns(table, key)
    by_name = {kind: named for kind in KINDS if (named := _by_name(images, kind))}
    tried = [
        _tried(table, column, kind, by_name[kind], len(images))
        for column in columns
        for kind in by_name
    ]
    best = max(tried, key=lambda one: one.score)
    if not any(best.score):
        raise DataError(_nothing(table, columns, images, phi), stage="labels")
    rivals = [one for one in tried if one.score[0] == best.score[0] > 0 and one.denies(best)]
    if rivals:
        raise ConfigError(
            f"{table.name}: {best.match.says} and {rivals[0].match.says} fit as many images and "
            "give them other labels: name the key with --key"
        )
    return best.match


@dataclass(frozen=True)
class _Try:
    match: Match
    score: tuple[int, int]  # images that have a row, and those with a row too many
    labels: tuple[str | None, ...]

    def denies(self, other: "_Try") -> bool:
        """Whether an image has another label by the other."""
        pairs = zip(self.labels, other.labels, strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)


def _columns(table: LabelTable, key: str | None) -> tuple[str, ...]:
    if key is None:
        return tuple(name for name in table.columns if name not in (table.label, table.split))
    chosen = [name for name in table.columns if name.casefold() == key.casefold()]
    if not chosen:
        raise ConfigError(f"{table.name}: no column {key!r} among {', '.join(table.columns)}")
    return tuple(chosen)


def _by_name(images: Sequence[Found], kind: str) -> dict[str, list[int]]:
    named = defaultdict(list)
    for number, image in enumerate(images):
        for name in dict.fromkeys(image.names.get(kind, ())):
            named[name].append(number)
    return named


def _tried(
    table: LabelTable, column: str, kind: str, named: Mapping[str, list[int]], count: int
) -> _Try:
    rows: dict[int, list[Row]] = defaultdict(list)
    unused, ambiguous = [], set()
    spell = _SPELLINGS.get(kind, _as_it_is)
    for row in table.rows:
        names = spell(row.cells[column], table)
        fits = next((named[name] for name in names if name in named), [])
        if kind in _SINGLE and len(fits) > 1:
            ambiguous |= set(fits)
            continue
        for number in fits:
            rows[number].append(row)
        if not fits:
            unused.append(row)
    contradictions = frozenset(
        number for number, mine in rows.items() if len({row.cells[table.label] for row in mine}) > 1
    )
    out = contradictions | ambiguous
    chosen = tuple(
        rows[number][0] if number in rows and number not in out else None for number in range(count)
    )
    others = {number: tuple(mine[1:]) for number, mine in rows.items() if len(mine) > 1}
    found = Match(column, kind, chosen, contradictions, frozenset(ambiguous), tuple(unused), others)
    labels = tuple(row.cells[table.label] if row else None for row in chosen)
    return _Try(found, (sum(row is not None for row in chosen), len(out)), labels)


def _as_it_is(text: str, table: LabelTable) -> tuple[str, ...]:
    return (text,) if text else ()


def _path(text: str, table: LabelTable) -> tuple[str, ...]:
    """As written, and from the folder of the list."""
    if not text or "\0" in text:
        return ()
    plain = text.replace("\\", "/")
    plain = plain[2:] if plain.startswith("./") else plain
    return (plain, os.path.normpath(os.path.join(_real(table.folder), plain)))


@lru_cache(8)
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def _patient(text: str, table: LabelTable) -> tuple[str, ...]:
    hashed = patient_id(text)
    return (hashed,) if hashed else ()


_SPELLINGS: Mapping[str, Callable[[str, LabelTable], tuple[str, ...]]] = {
    "path": _path,
    "folder": _path,
    "patient": _patient,
}


def _nothing(table: LabelTable, columns: Sequence[str], images: Sequence[Found], phi: bool) -> str:
    """Examples of both sides. What may name a patient is shown by its shape alone."""
    row, image = table.rows[0] if table.rows else None, images[0]
    listed = [
        f"{name} {_shown(row.cells[name], phi)}" for name in columns if row and row.cells[name]
    ]
    have = [
        f"{kind} {_shown(image.names[kind][0], phi)}" for kind in _TOLD if image.names.get(kind)
    ]
    return (
        f"no row of {table.name} fits any of {len(images)} images; its first row has "
        f"{'; '.join(listed) or 'nothing'}; the first image has {'; '.join(have)}: correct the "
        "key, or name its column with --key"
    )


def _shown(text: str, phi: bool) -> str:
    """A path or file as it is; of anything else letters as A and digits as 9."""
    if phi or "/" in text or "\\" in text or re.search(r"\.[A-Za-z]{2,5}$", text):
        return repr(text)
    return repr(_shortened(re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", text))))


def _shortened(text: str) -> str:
    return text if len(text) <= 32 else f"{text[:24]}... ({len(text)} characters)"
