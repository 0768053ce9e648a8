"""Many studies through several models: each by itself, none lost."""

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from medinv.batch.counts import count
from medinv.batch.join import join_shards
from medinv.batch.log import LOG, log_row, log_to
from medinv.batch.options import Options
from medinv.batch.plan import Job, Plan, make_plan
from medinv.batch.results import Results, Rows
from medinv.batch.work import INTERRUPTED, classify
from medinv.batch.workers import Reader
from medinv.data.dicom.index import Index
from medinv.models.density import Classifier
from medinv.models.card import Card


@dataclass(frozen=True)
class Summary:
    """What a run came to. `rows` are those of results.jsonl."""

    rows: Sequence[dict]
    counts: dict[str, int]
    stopped: str | None  # why before the end
    joined: bool  # all shards are done, and their results stand together

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED

    @property
    def exit_code(self) -> int:
        """0 all classified, 1 some failed, 3 nothing eligible, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.counts["failed"] or self.counts["broken_files"] or self.stopped:
            return 1
        return 0 if self.counts["classified"] else 3


def run(
    found: Index,
    models: Sequence[Classifier],
    options: Options,
    *,
    readers: Sequence[Reader] = (),
    on_plan: Callable[[int, int], None] = lambda rows, done: None,
    on_study: Callable[[dict], None] = lambda row: None,
) -> Summary:
    """Classify every study of `found` with every model and write the results folder. Ctrl-C keeps all that is done.

    `readers`: processes that were started before (see `workers.started`), to be used in place of new ones, and ended.
    `on_plan` is told how many rows there will be and how many of them stand already, `on_study` is given each new row.
    """
    start, began, stopped = (
        time.monotonic(),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        None,
    )
    results = Results(
        options.folder, overwrite=options.overwrite, resume=options.resume or options.retry_failed
    )
    with (
        closing(results.ledger),
        _threads(options.threads),
        log_to(options.log or options.folder / "run.log"),
    ):
        plan = make_plan(found, models, options.shard, options.of_rows())
        kept = results.ledger.keep([job.slot for job in plan.jobs], failed=not options.retry_failed)
        LOG.info(
            "began: %d rows to make, %d stand already, %d readers",
            len(plan.jobs) - len(kept),
            len(kept),
            options.readers,
        )
        on_plan(len(plan.jobs), len(kept))
        threading.Thread(
            target=import_module, args=("pyarrow.parquet",)
        ).start()  # for the tables, while the network waits for the first images
        try:
            jobs = [job for job in plan.jobs if job.slot not in kept]
            stopped = classify(
                jobs,
                models,
                options,
                results.ledger,
                _enough(readers, options.readers, jobs),
                on_study,
            )
        except KeyboardInterrupt:
            stopped = INTERRUPTED
        LOG.info("ended: %s", stopped or "all done")

        def record(rows: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
            counts = count(rows, found, plan.positions, len(models))
            ended = {
                "seconds": round(time.monotonic() - start, 2),
                "stopped": stopped,
                "interrupted": stopped == INTERRUPTED,
            }
            return {"began": began, **ended, "counts": counts, **_record(models, options, plan)}

        written = results.finish(record)
    rows = Rows(options.folder / "results.jsonl")
    if options.report:
        _write_index(rows, options.folder)
    joined = options.shard.of > 1 and join_shards(options.out, options.shard.of)
    return Summary(rows, written["counts"], stopped, joined)


def _enough(readers: Sequence[Reader], most: int, jobs: Sequence[Job]) -> list[Reader]:
    """A reader a study, but for the most that are allowed; at least one."""
    count = max(1, min(most, len({job.slot.position for job in jobs})))
    return [*readers, *(Reader() for _ in range(count))][: max(count, len(readers))]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for the network while the run goes on."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record(models: Sequence[Classifier], options: Options, plan: Plan) -> dict[str, Any]:
    return {
        "shard": [options.shard.number, options.shard.of],
        "plan_sha256": plan.sha256,
        "models": [_model_record(model.card, options) for model in models],
        "device": "CPU, float64",
        "seed": None,
        "phi": options.phi,
        "intake": "lossless" if options.lossless else "resize",
        "timeout_seconds": options.timeout,
        "memory_bytes": options.memory,
        "versions": {
            "python": platform.python_version(),
            **{n: version(n) for n in ("medinv", "torch", "monai", "pydicom", "numpy")},
        },
        "disclaimer": "Research use, not for diagnosis.",
    }


def _model_record(card: Card, options: Options) -> dict[str, Any]:
    hashes = {
        "sha256": card.weights_sha256,
        "config_sha256": card.config_sha256,
        "data_sha256": card.data_sha256,
    }
    return {"name": card.name, **hashes, "rule": options.rule or card.aggregation}


def _write_index(rows: Rows, out: Path) -> None:
    from medinv.report.entries import index_entry
    from medinv.report.html import write_index

    write_index([index_entry(row, row.get("report")) for row in rows], out / "index.html")
