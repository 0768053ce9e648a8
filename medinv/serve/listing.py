"""The results of the folder: of what was dropped on the page, and of `medinv classify` there."""

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from medinv.analysis.result import OUT_OF_SCOPE, StudyResult
from medinv.batch.results import LINES, Results
from medinv.report import derived
from medinv.report.html import flags

PAGE = 100  # results
Scope = Literal["in", "out", "failed", "skipped"]
SCOPES: dict[Scope, str] = {
    "in": "in scope",
    "out": "out of scope",
    "failed": "failed",
    "skipped": "skipped",
}
FILE = re.compile(
    r"(?:uploads/([0-9a-f]{16})/results/)?"
    r"(reports/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/"
    r"report\.(?:html|pdf|json))"
)
"""The files of the folder that are shown, by their paths there; no part of one begins with a
dot."""


@dataclass(frozen=True)
class Row:
    """A line of the list; `place` is its report's path in the folder, `upload` whose it is."""

    upload: str | None
    study: str
    model: str
    outcome: str
    scope: Scope
    told: tuple[str, float] | None
    images: int
    flags: tuple[str, ...]
    place: str | None
    when: float  # s since 1970

    @property
    def text(self) -> str:
        """What is searched."""
        return " ".join((self.study, self.model, self.outcome, *self.flags)).lower()

    @property
    def time(self) -> str:
        """When it was made, in this machine's time."""
        local = datetime.fromtimestamp(self.when, UTC).astimezone()
        return local.strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Filter:
    """Which rows are shown: those that fit all that is asked."""

    label: str = ""
    scope: str = ""
    text: str = ""

    def takes(self, row: Row) -> bool:
        """Whether a row is shown."""
        return (
            self.label in ("", row.outcome)
            and self.scope in ("", row.scope)
            and all(word in row.text for word in self.text.lower().split())
        )


class Listing:
    """The rows of a folder, read anew where a file has changed."""

    def __init__(self, out: Path):
        self.out = out
        self._read: dict[str | None, tuple[tuple[int, int], tuple[Row, ...]]] = {}

    def rows(self, uploads: Sequence[str]) -> list[Row]:
        """All rows: those of uploads as they are given, then those that lie in the folder."""
        self._read = {name: kept for name, kept in self._read.items() if name in (None, *uploads)}
        return [row for name in (*uploads, None) for row in self._of(name)]

    def _of(self, upload: str | None) -> tuple[Row, ...]:
        folder = _folder(self.out, upload)
        try:
            state = (folder / LINES).stat()
            key = state.st_mtime_ns, state.st_size
            if upload not in self._read or self._read[upload][0] != key:
                made = tuple(_row(one, upload, state.st_mtime) for one in Results(folder))
                self._read[upload] = key, made
        except (OSError, ValueError):  # not there, or cut by a kill: the next run writes it whole
            return ()
        return self._read[upload][1]


def labels(rows: Iterable[Row]) -> list[str]:
    """What the rows say, for a filter; what is no label stands in the other one."""
    others = set(SCOPES.values())
    return sorted({row.outcome for row in rows} - others)


def file_of(out: Path, name: str) -> Path | None:
    """A file of the folder that may be shown; None for any other name, and for what a link leads
    to."""
    if not FILE.fullmatch(name):
        return None
    path = out / name
    try:
        regular = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return None
    inside = path.resolve() == out.resolve() / name
    return path if regular and inside else None


def _folder(out: Path, upload: str | None) -> Path:
    return out if upload is None else out / "uploads" / upload / "results"


def _row(result: StudyResult, upload: str | None, when: float) -> Row:
    shown = derived.presented(result)
    told, report = shown.answer, shown.report
    prefix = "" if upload is None else f"uploads/{upload}/results/"
    return Row(
        upload,
        shown.study_uid,
        shown.model.name,
        shown.outcome,
        _scope(shown),
        (told.name, told.probability) if told else None,
        len(shown.instances),
        flags(shown),
        prefix + report if report and FILE.fullmatch(report) else None,
        when,
    )


def _scope(result: StudyResult) -> Scope:
    if result.status != "ok":
        return result.status
    return "out" if result.label == OUT_OF_SCOPE else "in"
