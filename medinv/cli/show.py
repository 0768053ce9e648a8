"""What commands print: progress to stderr, tables to stdout."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr; the function given advances it by one."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def table(rows: Sequence[dict]) -> Table:
    """Results rows, one line each: positive-class probability, certificate, and the reason where there is no label."""
    shown = Table("study", "model", "label", "probability", "images", "decodes back", "notes", box=None, pad_edge=False)
    for row in rows:
        probabilities, certificate = row["probabilities"], row["reconstruction"]
        positive = list(probabilities.items())[1] if probabilities else None
        shown.add_row(
            row["study_uid"],
            row["model"]["name"],
            row["label"] or row["status"],
            f"{positive[0]} {positive[1]:.3f}" if positive else "-",
            str(len(row["instances"])),
            "-" if certificate is None else f"exactly, {certificate['bits']} bits" if certificate["exact"] else f"NOT exactly, {certificate['max_abs_error']:.2g}",
            _note(row),
        )
    return shown


def _note(row: dict) -> str:
    if row["error"]:
        return f"{row['error']['code']}: {row['error']['message']}"
    reasons = [reason for instance in row["instances"] for reason in instance["scope"]["reasons"]]
    outside = sum(not instance["scope"]["in_scope"] for instance in row["instances"])
    if row["probabilities"] is None and reasons:
        return reasons[0]
    notes = [f"{outside} images out of scope"] if outside else []
    return "; ".join(notes + row["warnings"])
