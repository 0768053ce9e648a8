"""Results on disk: one JSON line a study and model as soon as it is done, then tables and a record of the run."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medinv.errors import ConfigError, OutputError

COLUMNS = (
    "study_uid", "model", "status", "label", "probability", "images", "in_scope", "exact", "bits", "max_abs_error", "error_stage", "error_code",
    "error_message", "skipped", "broken", "warnings", "seconds", "disclaimer",
)  # fmt: skip


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, then rename. Raises OutputError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=path) from error


class Results:
    """The folder of one run. Rows are kept in `results.jsonl.partial` while it goes on; `finish` turns them into the final files."""

    def __init__(self, folder: Path, *, overwrite: bool = False):
        self.folder, self.rows = folder, []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "results.jsonl").exists() and not overwrite:
                raise ConfigError("results stand here already; name another folder or pass --overwrite", path=folder)
            self._partial = (folder / "results.jsonl.partial").open("w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write here: {error.strerror}; choose a folder you may write to", path=folder) from error

    def add(self, row: dict[str, Any]) -> None:
        """Keep one row; it is on disk when this returns."""
        self.rows.append(row)
        self._write(lambda: (self._partial.write(json.dumps(row, allow_nan=False) + "\n"), self._partial.flush()))

    def finish(self, run: dict[str, Any]) -> None:
        """Write results.jsonl, results.csv, results.parquet and, last, run.json."""
        self._write(self._partial.close)
        flat = [_flat(row) for row in self.rows]
        write_atomically(self.folder / "results.csv", _csv(flat))
        write_atomically(self.folder / "results.parquet", _parquet(flat))
        self._write(lambda: os.replace(self.folder / "results.jsonl.partial", self.folder / "results.jsonl"))
        write_atomically(self.folder / "run.json", json.dumps(run, indent=1).encode())

    def _write(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            raise OutputError(f"cannot write the results: {error.strerror}", path=self.folder) from error


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    probabilities, error, certificate = row["probabilities"], row["error"] or {}, row["reconstruction"] or {}
    values = (
        row["study_uid"], row["model"]["name"], row["status"], row["label"], list(probabilities.values())[1] if probabilities else None,
        len(row["instances"]), sum(i["scope"]["in_scope"] for i in row["instances"]), certificate.get("exact"), certificate.get("bits"),
        certificate.get("max_abs_error"), error.get("stage"), error.get("code"), error.get("message"), len(row["skipped"]), len(row["broken"]),
        "; ".join(row["warnings"]), row["seconds"], row["disclaimer"],
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, defused."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, real, count = pa.string(), pa.float64(), pa.int64()
    types = {"probability": real, "max_abs_error": real, "seconds": real, "exact": pa.bool_()}
    types |= dict.fromkeys(("images", "in_scope", "bits", "skipped", "broken"), count)
    schema = pa.schema([(name, types.get(name, text)) for name in COLUMNS])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()
