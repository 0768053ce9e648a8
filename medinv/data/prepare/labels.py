"""A list of labels: one row an image, a series, a study or a patient."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medinv.errors import ConfigError, DataError

LABEL = ("label", "class", "diagnosis", "target", "category")
PATIENT = ("patient", "patient_id", "patientid", "subject", "subject_id")
SPLIT = ("split", "part", "set", "fold", "subset")
PART_OF = {
    "training": ("training", "train", "tr"),
    "validation": ("validation", "valid", "val", "dev", "tuning"),
    "test": ("test", "testing", "ts", "holdout"),
}
_NEGATIVE = (
    "normal", "healthy", "negative", "no", "none", "no finding", "benign", "control", "false",
    "absent", "no disease", "not", "well", "clear", "0",
)  # fmt: skip
_ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_SCALES = (
    (
        ("none", "normal", "no", "absent", "healthy"), ("minimal", "trace", "doubtful"), ("mild",),
        ("moderate",), ("severe",), ("proliferative", "critical"),
    ),
    (("low",), ("medium", "intermediate"), ("high",)),
    (("benign",), ("borderline", "atypical"), ("malignant",)),
    (("small",), ("medium",), ("large",)),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line. `number` counts as a spreadsheet does, the heading being row 1."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class LabelTable:
    """All lines, and which columns say what."""

    name: str
    folder: Path  # that relative paths start from
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    label: str
    patient: str | None = None
    split: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """Columns that are neither label, patient nor part."""
        return tuple(c for c in self.columns if c not in (self.label, self.patient, self.split))


def part_of(text: str) -> str | None:
    """The part that a word names, in whatever case; None for another word."""
    word = text.strip().casefold()
    return next((part for part, words in PART_OF.items() if word in words), None)


def read_table(path: Path, label: str | None = None) -> LabelTable:
    """A CSV in UTF-8, UTF-16 or Windows' western encoding, parted by comma, semicolon or tab.

    `label` names the column of labels; None: the one that is called so. Raises ConfigError for a
    file or column that is not there, DataError for one that is no table.
    """
    names, rows = lines_of(path)
    return table_of(rows, names, path, label)


def lines_of(path: Path) -> tuple[list[str], tuple[Row, ...]]:
    """The names of the columns of a CSV, and its rows. Raises as `read_table`."""
    try:
        text = _text(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    lines = _lines(text, path)
    heading = [name.strip() for name in next(lines, [])]
    if not any(heading):
        raise DataError("expected a heading with the names of columns", path=path, stage="labels")
    names = [name or f"column {number}" for number, name in enumerate(heading, 1)]
    if len({name.casefold() for name in names}) < len(names):
        raise DataError("two columns have one name: rename one", path=path, stage="labels")
    rows = tuple(
        Row(number, {name: cell.strip() for name, cell in zip(names, line, strict=False)})
        for number, line in enumerate(lines, 2)
        if any(cell.strip() for cell in line)
    )
    return names, rows


def table_of(
    rows: Sequence[Row], names: Sequence[str], path: Path, label: str | None = None
) -> LabelTable:
    """A table of rows that were read. Raises ConfigError without a column of labels."""
    whole = tuple(
        Row(row.number, {name: row.cells.get(name, "") for name in names}) for row in rows
    )
    chosen = _named(names, LABEL if label is None else (label.casefold(),))
    if chosen is None:
        raise ConfigError(
            f"no column {label or 'label'!r} among {', '.join(names)}: name the one that holds the "
            "classes with --label-column",
            path=path,
        )
    rest = [name for name in names if name != chosen]
    return LabelTable(
        path.name,
        path.parent,
        tuple(names),
        whole,
        chosen,
        _named(rest, PATIENT),
        _split_column(rest, whole),
    )


def in_order(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names in the order of label numbers: what means that nothing was found first, then
    numbers by size and words by the alphabet, so that of two the second is the finding.

    >>> in_order(["pneumonia", "normal"]), in_order(["10", "9"])
    (('normal', 'pneumonia'), ('9', '10'))
    """

    def rank(name: str) -> tuple[bool, bool, float, str]:
        word = name.casefold().replace("_", " ").strip()
        number = float(name) if name.replace(".", "", 1).isdecimal() else None
        return (word not in _NEGATIVE, number is None, number or 0.0, name)

    return tuple(sorted(set(classes), key=rank))


def grades(classes: Sequence[str]) -> tuple[str, ...] | None:
    """Class names from the least to the most where they look like grades, else None.

    Numbers, one word with a number or a Roman numeral behind it, or words of one scale.

    >>> grades(["stage II", "stage I", "stage III"]), grades(["cat", "dog", "fox"])
    (('stage I', 'stage II', 'stage III'), None)
    >>> grades(["high", "low", "medium"]), grades(["0", "1", "2", "3", "4"])
    (('low', 'medium', 'high'), ('0', '1', '2', '3', '4'))
    """
    plain = {name: name.casefold().replace("_", " ").replace("-", " ").strip() for name in classes}
    if len(classes) < 3:
        return None
    for ranks in ({n: _numbered(word) for n, word in plain.items()}, _on_a_scale(plain)):
        known = [rank for rank in ranks.values() if rank is not None]
        stems = {stem for stem, _ in known}
        if len(known) == len(set(known)) == len(classes) and len(stems) == 1:
            return tuple(sorted(classes, key=lambda name: ranks[name] or ("", 0.0)))
    return None


def _numbered(word: str) -> tuple[str, float] | None:
    """What stands before the number, and the number."""
    found = re.fullmatch(r"(.*?)\s*(\d+(?:\.\d+)?|i{1,3}|iv|vi{0,3})", word)
    if found is None or (found[2] in _ROMAN and found[1] and word[-len(found[2]) - 1] != " "):
        return None
    if found[1] in ("class", "category", "group", "label", "type"):
        return None
    number = _ROMAN.index(found[2]) if found[2] in _ROMAN else float(found[2])
    return found[1], float(number)


def _on_a_scale(plain: Mapping[str, str]) -> dict[str, tuple[str, float] | None]:
    """The place of the first word that belongs to a scale, of the scale that knows most names."""

    def placed(scale: Sequence[Sequence[str]], name: str) -> tuple[str, float] | None:
        words = name.split()
        places = [k for k, rank in enumerate(scale) if name in rank or set(words) & set(rank)]
        return (str(scale), float(places[-1])) if places else None

    tried = [{n: placed(scale, word) for n, word in plain.items()} for scale in _SCALES]
    return max(tried, key=lambda ranks: sum(rank is not None for rank in ranks.values()))


def _named(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_name = {name.casefold().replace(" ", "_"): name for name in names}
    found = (by_name.get(word.replace(" ", "_")) for word in wanted)
    return next((name for name in found if name is not None), None)


def _split_column(names: Sequence[str], rows: Sequence[Row]) -> str | None:
    """A column called so whose words are parts: another may be called `set` or `fold`."""
    for word in SPLIT:
        name = _named(names, (word,))
        if name is not None:
            words = {row.cells[name] for row in rows} - {""}
            if words and all(part_of(each) for each in words):
                return name
            if word == "split":
                odd = sorted(each for each in words if not part_of(each))
                raise ConfigError(
                    f"column {name!r}: expected training, validation or test; got "
                    f"{', '.join(map(repr, odd[:3])) or 'nothing'}; rename the column if it is "
                    "not the split"
                )
    return None


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # Excel's "Unicode text"
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # Excel's CSV of western Windows
        return content.decode("cp1252", "replace")


def _lines(text: str, path: Path) -> Iterator[list[str]]:
    first, _, rest = text.partition("\n")
    delimiter = max(",;\t", key=first.count)
    if first.strip().lower().startswith("sep="):  # Excel's own line before the heading
        delimiter, text = first.strip()[4:5] or ",", rest
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise DataError(f"the list is no CSV: {error}", path=path, stage="labels") from error
