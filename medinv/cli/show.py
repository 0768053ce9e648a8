"""What commands print: progress to stderr, tables to stdout."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from medinv.analysis.result import StudyResult

LISTED = 100  # results a model; the results hold all


class Bar:
    """A progress bar whose length is known once the plan is made."""

    def __init__(self, bar: Progress, what: str):
        self._bar, self._task = bar, bar.add_task(what, total=None)

    def begin(self, total: int, done: int) -> None:
        """How many there will be, and how many of them stand already."""
        self._bar.update(self._task, total=total, completed=done)

    def advance(self, result: StudyResult) -> None:
        """One more is done."""
        self._bar.advance(self._task)


@contextmanager
def progress(what: str) -> Iterator[Bar]:
    """A progress bar on stderr."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = getattr(sys.stdout, "name", None) == os.devnull  # as --quiet leaves it
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as bar:
        yield Bar(bar, what)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C, and SIGTERM, which ends batch jobs, raise KeyboardInterrupt: once.

    What is done is then written, and said; who presses again, for it takes too long, must not lose
    that: once pressed, neither is heard until the command ends.
    """
    pressed = False

    def interrupt(*_: object) -> None:
        nonlocal pressed
        if not pressed:
            pressed = True
            raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_IGN if pressed else handler)


def say(console: Console, line: str, *, bold: bool = False) -> None:
    """A line as it is: names of folders and what headers quote are no markup."""
    style = "bold" if bold else None
    console.print(line, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_results(results: Iterable[StudyResult], console: Console) -> None:
    """Results, one line each for the first of them, under a heading a model.

    Skipped ones are counted by their reason; all stand in the results.
    """
    listed: dict[str, list[StudyResult]] = {}
    more: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for result in results:
        model = result.model.name
        mine = listed.setdefault(model, [])
        if result.status == "skipped":
            reasons[model, result.error.code if result.error else ""] += 1
        elif len(mine) < LISTED:
            mine.append(result)
        else:
            more[model] += 1
    for model, done in listed.items():
        if done:
            console.print(_table(model, done))
        if more[model]:
            say(console, f"and {more[model]} more")
        counted = [f"{n} {code}" for (name, code), n in reasons.most_common() if name == model]
        if counted:
            say(console, "skipped: " + ", ".join(counted))


def _table(model: str, results: Sequence[StudyResult]) -> Table:
    headings = (model, "label", "probability", "images", "decodes back")
    narrow = [Column(Text(name), no_wrap=True) for name in headings]
    notes = Column("notes", no_wrap=True, overflow="ellipsis", ratio=1)
    table = Table(*narrow, notes, box=None, pad_edge=False, expand=True)
    for result in results:
        quoted = result.answer
        cells = (
            result.study_uid[:14],
            result.outcome,
            f"{quoted[0]} {quoted[1]:.3f}" if quoted else "-",
            str(len(result.instances)),
            _round_trip(result),
            _note(result),
        )
        table.add_row(*map(Text, cells))
    return table


def _round_trip(result: StudyResult) -> str:
    came_back = result.reconstruction
    if came_back is None:
        return "-"
    return "exactly" if came_back.exact else f"NO, {came_back.max_abs_error:.2g} off"


def _note(result: StudyResult) -> str:
    if result.error:
        return f"{result.error.code}: {result.error.message}"
    reasons = [reason for image in result.instances for reason in image.scope.reasons]
    if result.probabilities is None and reasons:
        return reasons[0].split(";")[0].replace(": score", "")
    outside = sum(not image.in_scope for image in result.instances)
    return "; ".join([*([f"{outside} images out of scope"] if outside else []), *result.notes])
