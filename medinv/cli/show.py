"""What commands print: progress to stderr, tables to stdout."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr; the function given advances it by one."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def print_rows(rows: Sequence[dict], console: Console) -> None:
    """Results rows, one line each, under a heading a model; skipped ones are counted by their reason (all reasons stand in the results)."""
    for model in dict.fromkeys(row["model"]["name"] for row in rows):
        mine = [row for row in rows if row["model"]["name"] == model]
        done = [row for row in mine if row["status"] != "skipped"]
        if done:
            console.print(_table(model, done))
        reasons = Counter(row["error"]["code"] for row in mine if row["status"] == "skipped")
        if reasons:
            console.print("skipped: " + ", ".join(f"{count} {code}" for code, count in reasons.most_common()), highlight=False)


def _table(model: str, rows: Sequence[dict]) -> Table:
    narrow = [Column(name, no_wrap=True) for name in (model, "label", "probability", "images", "decodes back")]
    shown = Table(*narrow, Column("notes", no_wrap=True, overflow="ellipsis", ratio=1), box=None, pad_edge=False, expand=True)
    for row in rows:
        positive = list(row["probabilities"].items())[1] if row["probabilities"] else None
        probability = f"{positive[0]} {positive[1]:.3f}" if positive else "-"
        shown.add_row(row["study_uid"][:14], row["label"] or row["status"], probability, str(len(row["instances"])), _certificate(row["reconstruction"]), _note(row))
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
        return reasons[0].split(";")[0].removeprefix("header: ").replace("likelihood: score", "likelihood")
    outside = sum(not instance["scope"]["in_scope"] for instance in row["instances"])
    return "; ".join(([f"{outside} images out of scope"] if outside else []) + row["warnings"])
