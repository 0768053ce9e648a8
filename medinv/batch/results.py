"""Results on disk: one JSON line a study and model, tables of the same, and a record of the run."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from medinv.batch.ledger import FILE, Ledger, remove_ledger
from medinv.batch.tables import CsvTable, JsonLines, ParquetTable, Table
from medinv.errors import ConfigError, OutputError


PlacedRows = Iterator[tuple[int, dict[str, Any]]]  # each with the position of its study
Record = Callable[[PlacedRows], dict[str, Any]]


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, then rename. Raises OutputError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=path) from error


class Rows(Sequence[dict[str, Any]]):
    """The rows of a results.jsonl, read anew each time, so that a long run does not fill the memory."""

    def __init__(self, path: Path):
        self._path = path

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def __getitem__(self, place: int | slice) -> Any:
        return list(self)[place]


class Results:
    """The folder of one run. Rows lie in its ledger; `finish` writes them out as tables, each file whole or not at all.

    Raises ConfigError where results stand that nobody said should be continued or replaced, OutputError where nothing can be written.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False, resume: bool = False):
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stands = [name for name in ("results.jsonl", FILE) if (folder / name).exists()]
            if stands and not overwrite and not resume:
                raise ConfigError(
                    "results stand here already: name another folder, or pass --resume to continue or --overwrite to replace",
                    path=folder,
                )
            if overwrite and not resume:
                remove_ledger(folder)
        except OSError as error:
            raise OutputError(
                f"cannot write here: {error.strerror}; choose a folder you may write to",
                path=folder,
            ) from error
        self.ledger = Ledger(folder)

    def finish(self, record: Record) -> dict[str, Any]:
        """Write the rows of the ledger out. Raises as `write_tables` does."""
        return write_tables(
            self.folder,
            ((position, json.loads(text)) for position, text in self.ledger.rows()),
            record,
        )


def write_tables(folder: Path, rows: PlacedRows, record: Record) -> dict[str, Any]:
    """Write results.jsonl, results.csv, results.parquet and, last, run.json, which `record` makes of the rows as they pass. Raises OutputError."""
    try:
        with ExitStack() as stack:
            tables = [
                stack.enter_context(table(folder)) for table in (JsonLines, CsvTable, ParquetTable)
            ]
            run = record(_passing(rows, tables))
    except OSError as error:
        raise OutputError(
            f"cannot write the results: {error.strerror}; make room, then run again with --resume",
            path=folder,
        ) from error
    write_atomically(folder / "run.json", json.dumps(run, indent=1).encode())
    return run


def _passing(rows: PlacedRows, tables: list[Table]) -> PlacedRows:
    for position, row in rows:
        for table in tables:
            table.add(row)
        yield position, row
