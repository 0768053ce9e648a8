"""The files that results are read from: JSON lines whole, CSV and Parquet a line a study and model."""

import csv
import json
import os
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

COLUMNS = (
    "study_uid", "model", "status", "label", "probability", "rule", "images", "in_scope", "exact", "bits", "max_abs_error", "error_stage", "error_code",
    "error_message", "skipped", "broken", "warnings", "seconds", "disclaimer",
)  # fmt: skip
ROW_GROUP = 10_000


class Table(AbstractContextManager):
    """A file written under a temporary name, renamed once it is whole. Use it in a `with`."""

    name: ClassVar[str]

    def __init__(self, folder: Path):
        self._path = folder / self.name
        self._temporary = self._path.with_name(self.name + ".tmp")

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            self._close()
            if failed is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    @abstractmethod
    def add(self, row: dict[str, Any]) -> None:
        """Append a row. Raises OSError."""

    @abstractmethod
    def _close(self) -> None: ...


class JsonLines(Table):
    name = "results.jsonl"

    def __enter__(self) -> "JsonLines":
        self._stream = self._temporary.open("w", encoding="utf-8")
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._stream.write(json.dumps(row, allow_nan=False) + "\n")

    def _close(self) -> None:
        self._stream.close()


class CsvTable(Table):
    name = "results.csv"

    def __enter__(self) -> "CsvTable":
        self._stream = self._temporary.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._stream, COLUMNS)
        self._writer.writeheader()
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._writer.writerow({key: _harmless(value) for key, value in _flat(row).items()})

    def _close(self) -> None:
        self._stream.close()


class ParquetTable(Table):
    name = "results.parquet"

    def __enter__(self) -> "ParquetTable":
        import pyarrow as pa
        import pyarrow.parquet as pq

        text, real, count = pa.string(), pa.float64(), pa.int64()
        types = {"probability": real, "max_abs_error": real, "seconds": real, "exact": pa.bool_()}
        types |= dict.fromkeys(("images", "in_scope", "bits", "skipped", "broken"), count)
        self._schema = pa.schema([(name, types.get(name, text)) for name in COLUMNS])
        self._writer, self._rows = pq.ParquetWriter(self._temporary, self._schema), []
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(_flat(row))
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def _close(self) -> None:
        self._flush()
        self._writer.close()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    probabilities, error, certificate = (
        row["probabilities"],
        row["error"] or {},
        row["reconstruction"] or {},
    )
    values = (
        row["study_uid"], row["model"]["name"], row["status"], row["label"], list(probabilities.values())[1] if probabilities else None,
        row["rule"], len(row["instances"]), sum(i["scope"]["in_scope"] for i in row["instances"]), certificate.get("exact"), certificate.get("bits"),
        certificate.get("max_abs_error"), error.get("stage"), error.get("code"), error.get("message"), len(row["skipped"]), len(row["broken"]),
        "; ".join(row["warnings"]), row["seconds"], row["disclaimer"],
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, defused."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
