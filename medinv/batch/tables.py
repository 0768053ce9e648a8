"""The files that results are read from: whole as JSON lines, condensed as CSV and Parquet."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from medinv.analysis.result import StudyResult
from medinv.files import whole

# columns of the tables and what stands in them; the types are those of Parquet
COLUMNS: dict[str, tuple[str, Callable[[StudyResult], Any]]] = {
    "study_uid": ("string", lambda r: r.study_uid),
    "model": ("string", lambda r: r.model.name),
    "status": ("string", lambda r: r.status),
    "label": ("string", lambda r: r.label),
    "probability": ("float64", lambda r: r.answer and r.answer.probability),
    "plausible": ("string", lambda r: None if r.plausible is None else "|".join(r.plausible)),
    "undecided": ("bool", lambda r: None if r.plausible is None else r.undecided),
    "next_label": ("string", lambda r: _next(r)[0]),
    "next_probability": ("float64", lambda r: _next(r)[1]),
    "rule": ("string", lambda r: r.rule),
    "images": ("int64", lambda r: len(r.instances)),
    "in_scope": ("int64", lambda r: sum(image.in_scope for image in r.instances)),
    "exact": ("bool", lambda r: r.reconstruction and r.reconstruction.exact),
    "bits": ("int64", lambda r: r.reconstruction and r.reconstruction.bits),
    "max_abs_error": ("float64", lambda r: r.reconstruction and r.reconstruction.max_abs_error),
    "precision": ("string", lambda r: r.reconstruction and r.reconstruction.dtype),
    "device": ("string", lambda r: r.reconstruction and r.reconstruction.device),
    "error_stage": ("string", lambda r: r.error and r.error.stage),
    "error_code": ("string", lambda r: r.error and r.error.code),
    "error_message": ("string", lambda r: r.error and r.error.message),
    "skipped": ("int64", lambda r: len(r.skipped)),
    "broken": ("int64", lambda r: len(r.broken)),
    "warnings": ("string", lambda r: "; ".join(r.notes)),
    "seconds": ("float64", lambda r: r.seconds),
    "disclaimer": ("string", lambda r: r.disclaimer),
}
ROW_GROUP = 10_000  # rows of a Parquet file that are held in memory

Add = Callable[[StudyResult], None]


@contextmanager
def json_lines(folder: Path) -> Iterator[Add]:
    """results.jsonl: a whole result a line, as `StudyResult.model_validate_json` reads it."""
    with whole(folder / "results.jsonl") as stream:
        yield lambda result: _write_line(stream, result)


def _write_line(stream: IO[bytes], result: StudyResult) -> None:
    stream.write(json.dumps(result.row(), allow_nan=False).encode() + b"\n")


@contextmanager
def csv_table(folder: Path) -> Iterator[Add]:
    """results.csv."""
    with whole(folder / "results.csv") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        try:
            yield lambda result: writer.writerow(
                {key: _harmless(value) for key, value in _flat(result).items()}
            )
        finally:
            text.detach()


@contextmanager
def parquet_table(folder: Path) -> Iterator[Add]:
    """results.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "string": pa.string(),
        "float64": pa.float64(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
    }
    schema = pa.schema([(name, types[kind]) for name, (kind, _) in COLUMNS.items()])
    waiting: list[dict[str, Any]] = []
    with (
        whole(folder / "results.parquet") as stream,
        pq.ParquetWriter(stream, schema) as writer,
    ):

        def flush() -> None:
            if waiting:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting.clear()

        def add(result: StudyResult) -> None:
            waiting.append(_flat(result))
            if len(waiting) == ROW_GROUP:
                flush()

        yield add
        flush()


TABLES: tuple[Callable[[Path], AbstractContextManager[Add]], ...] = (
    json_lines,
    csv_table,
    parquet_table,
)


def _next(result: StudyResult) -> tuple[str | None, float | None]:
    """Of more than two classes the likeliest that is not called, with its probability."""
    return next(iter(result.answer.others), (None, None)) if result.answer else (None, None)


def _flat(result: StudyResult) -> dict[str, Any]:
    return {name: value(result) for name, (_, value) in COLUMNS.items()}


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, defused."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
