"""A list of inputs as CSV: a column `path` (relative to the list), and `study` where files are
to be taken as one study."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medinv.data.dicom.archive import printable
from medinv.data.dicom.records import Broken
from medinv.errors import DataError

_STUDY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


@dataclass(frozen=True)
class Row:
    """One line. `source` names it: `list.csv: row 7`, counted as a spreadsheet does, the heading
    being row 1."""

    source: str
    path: Path
    study: str | None


def is_manifest(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() == ".csv"


def read_manifest(path: Path) -> Iterator[Row | Broken]:
    """The rows; each that cannot be used, and a list that cannot be read, is Broken.

    Columns other than the two are ignored.
    """
    source = printable(str(path))
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            delimiter = _delimiter(stream.readline())
            stream.seek(0)
            lines = csv.reader(stream, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(lines, [])]
            if "path" not in columns or len(set(columns)) < len(columns):
                yield Broken(
                    source,
                    None,
                    DataError(
                        "expected a list with the columns path and, if wanted, study, each once",
                        path=source,
                    ),
                )
                return
            for number, line in enumerate(lines, 2):
                if any(cell.strip() for cell in line):
                    yield _row(
                        path,
                        f"{source}: row {number}",
                        dict(zip(columns, line, strict=False)),
                        len(line) <= len(columns),
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        yield Broken(
            source,
            None,
            DataError(
                f"the list cannot be read as CSV in UTF-8 to its end ({type(error).__name__})",
                path=source,
            ),
        )


def _delimiter(heading: str) -> str:
    return max(",;\t", key=heading.count)


def _row(manifest: Path, source: str, cells: dict[str, str], fits: bool) -> Row | Broken:
    path, study = cells.get("path", "").strip(), cells.get("study", "").strip()
    if not path or "\0" in path or not fits:
        return Broken(
            source,
            None,
            DataError("expected a path, and no more cells than the heading has", path=source),
        )
    if study and not _STUDY.fullmatch(study):
        return Broken(
            source,
            None,
            DataError(
                "expected a study of letters, digits, dots, dashes and underscores, at most 64",
                path=source,
            ),
        )
    return Row(source, manifest.parent / path, study or None)
