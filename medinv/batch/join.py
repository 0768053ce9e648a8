"""The results of all shards as those of one run.

They are read from the files that each shard wrote whole, not from its ledger, which is of the
machine that wrote it. Two shards that end at the same moment write the same twice.
"""

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medinv.analysis.result import StudyResult
from medinv.batch.options import Shard
from medinv.batch.results import RECORD, Results, write_tables
from medinv.errors import ConfigError


def join_shards(out: Path, of: int) -> bool:
    """Write the results of all shards together into `out`; False while one is missing.

    The last shard to end does it. Raises ConfigError if the shards are not of the same inputs,
    models and options, OutputError if nothing can be written.
    """
    folders = [out / "shards" / Shard(number, of).folder for number in range(1, of + 1)]
    paths = [folder / RECORD for folder in folders]
    records = [json.loads(path.read_text()) for path in paths if path.is_file()]
    if len(records) < of or any(record["stopped"] for record in records):
        return False
    if len({record["plan_sha256"] for record in records}) > 1:
        raise ConfigError(
            "the shards saw different files, models or options and are not joined: run each again "
            "with --resume",
            path=out,
        )
    shards = [
        _moved(Results(folder), record["order"], folder.relative_to(out))
        for folder, record in zip(folders, records, strict=True)
    ]
    results = heapq.merge(*shards, key=lambda item: item[0])
    write_tables(out, results, lambda written: _record(records, sum(1 for _ in written)))
    return True


def _moved(results: Results, order: list[int], folder: Path) -> Iterator[tuple[int, StudyResult]]:
    """The results of a shard, their files named from where all results stand together."""
    for study_index, result in zip(order, results, strict=True):
        report = result.report and (folder / result.report).as_posix()
        dicom = tuple((folder / name).as_posix() for name in result.dicom)
        yield study_index, result.model_copy(update={"report": report, "dicom": dicom})


def _record(records: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    counts = sum((Counter(record["counts"]) for record in records), Counter())
    summed = {name: counts[name] for name in records[0]["counts"]} | {
        "rows": rows,
        "other_shards_files": 0,
    }
    seconds = round(sum(record["seconds"] for record in records), 2)
    first = {name: value for name, value in records[0].items() if name != "order"}
    return {
        **first,
        "began": min(record["began"] for record in records),
        "seconds": seconds,
        "counts": summed,
        "shard": [1, 1],
        "joined_shards": len(records),
    }
