"""What commands print: progress to stderr, tables to stdout."""

import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

LISTED = 100  # rows a model; the results hold all


class Bar:
    """A progress bar whose length is known once the plan is made."""

    def __init__(self, bar: Progress, what: str):
        self._bar, self._task = bar, bar.add_task(what, total=None)

    def begin(self, total: int, done: int) -> None:
        self._bar.update(self._task, total=total, completed=done)

    def advance(self, row: dict) -> None:
        self._bar.advance(self._task)


@contextmanager
def progress(what: str) -> Iterator[Bar]:
    """A progress bar on stderr."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar, what)


@contextmanager
def until_terminated() -> Iterator[None]:
    """What ends batch jobs (SIGTERM) ends this as Ctrl-C does: with all that is done kept."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_rows(rows: Iterable[dict], console: Console) -> None:
    """Results rows, one line each for the first of them, under a heading a model; skipped ones are counted by their reason (all stand in the results)."""
    listed: dict[str, list[dict]] = {}
    more, reasons = Counter(), Counter()
    for row in rows:
        model = row["model"]["name"]
        mine = listed.setdefault(model, [])
        if row["status"] == "skipped":
            reasons[model, row["error"]["code"]] += 1
        elif len(mine) < LISTED:
            mine.append(row)
        else:
            more[model] += 1
    for model, done in listed.items():
        if done:
            console.print(_table(model, done))
        if more[model]:
            console.print(f"and {more[model]} more", highlight=False)
        if counted := [
            f"{count} {code}" for (name, code), count in reasons.most_common() if name == model
        ]:
            console.print("skipped: " + ", ".join(counted), highlight=False)


def _table(model: str, rows: Sequence[dict]) -> Table:
    narrow = [
        Column(name, no_wrap=True)
        for name in (model, "label", "probability", "images", "decodes back")
    ]
    shown = Table(
        *narrow,
        Column("notes", no_wrap=True, overflow="ellipsis", ratio=1),
        box=None,
        pad_edge=False,
        expand=True,
    )
    for row in rows:
        positive = list(row["probabilities"].items())[1] if row["probabilities"] else None
        probability = f"{positive[0]} {positive[1]:.3f}" if positive else "-"
        shown.add_row(
            row["study_uid"][:14],
            row["label"] or row["status"],
            probability,
            str(len(row["instances"])),
            _certificate(row["reconstruction"]),
            _note(row),
        )
    return shown


def _certificate(found: dict | None) -> str:
    if found is None:
        return "-"
    return "exactly" if found["exact"] else f"NO, {found['max_abs_error']:.2g} off"


def _note(row: dict) -> str:
    if row["error"]:
        return f"{row['error']['code']}: {row['error']['message']}"
    reasons = [reason for instance in row["instances"] for reason in instance["scope"]["reasons"]]
    if row["probabilities"] is None and reasons:
        return reasons[0].split(";")[0].replace("likelihood: score", "likelihood")
    outside = sum(not instance["scope"]["in_scope"] for instance in row["instances"])
    return "; ".join(([f"{outside} images out of scope"] if outside else []) + row["warnings"])
