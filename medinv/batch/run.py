"""Many studies through several models: each by itself, none lost."""

import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from medinv.analysis.result import DISCLAIMER, StudyResult
from medinv.batch.counts import count
from medinv.batch.join import join_shards
from medinv.batch.ledger import Ledger
from medinv.batch.log import LOG, log_result, log_to
from medinv.batch.options import READERS, Options
from medinv.batch.plan import Job, Plan, make_plan
from medinv.batch.results import IndexedResults, Results, opened, write_tables
from medinv.batch.work import Work
from medinv.batch.workers import Reader
from medinv.data.dicom.index import index as index_files
from medinv.data.dicom.records import Index
from medinv.errors import ConfigError
from medinv.models.base import InvertibleNetwork
from medinv.models.device import described
from medinv.models.store import load_invertible

INTERRUPTED, TOO_MANY = "interrupted", "too many failures"


@dataclass(frozen=True)
class Summary:
    """What a run came to. `results` are those of results.jsonl."""

    results: Sequence[StudyResult]
    counts: dict[str, int]
    stopped: str | None  # why before the end
    joined: bool  # all shards are done, and their results stand together

    @property
    def interrupted(self) -> bool:
        """The user ended it."""
        return self.stopped == INTERRUPTED

    @property
    def exit_code(self) -> int:
        """0 all classified, 1 some failed, 3 nothing eligible, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.counts["failed"] or self.counts["broken_files"] or self.stopped:
            return 1
        return 0 if self.counts["classified"] else 3


def classify(
    paths: str | Path | Sequence[str | Path],
    model: str | Path | InvertibleNetwork,
    *,
    rule: str | None = None,
    lossless: bool = False,
    explain: bool = False,
    phi: bool = False,
) -> list[StudyResult]:
    """The result of every study among DICOM files, pictures, folders, zips and CSV lists.

    Nothing is written. Arguments:
        paths: one or several of them.
        model: name of a shipped model, model folder, or what `medinv.load` gave.
        rule: how images decide for their study; None: as the model's card says.
        lossless: take the pixels in by the lossless intake, with a certificate of every byte.
        explain: read the images that a report would draw at full size, and explain them: their
            `pixels.display` and `explanation` are then there.
        phi: keep study and image UIDs instead of pseudonyms.

    Bad input is a result with status "failed"; raises ConfigError for a path that is not there or a
    model that does not take studies, and what `medinv.load` raises.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for path in given:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    network = model if isinstance(model, InvertibleNetwork) else load_invertible(model)
    network.card.check_takes_studies()
    options = Options(Path(), rule=rule, lossless=lossless, phi=phi)
    plan = make_plan(index_files(given), [network], options.shard, options.of_rows())
    results: list[tuple[Job, StudyResult]] = []
    work = Work([network], options, explain=explain)
    for of_study in work.results(plan.jobs, _enough((), READERS, plan.jobs)):
        results += of_study
    return [one for _, one in sorted(results, key=lambda item: item[0].slot.study_index)]


def run(
    index: Index,
    models: Sequence[InvertibleNetwork],
    options: Options,
    *,
    readers: Sequence[Reader] = (),
    on_plan: Callable[[int, int], None] = lambda rows, done: None,
    on_study: Callable[[StudyResult], None] = lambda result: None,
) -> Summary:
    """Classify every study of an index with every model and write the results folder.

    Ctrl-C keeps all that is done. `readers`: processes that were started before (see
    `workers.started`), to be used in place of new ones, and ended. `on_plan` is told how many rows
    there will be and how many of them stand already, `on_study` is given each new result.
    """
    start, began = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    resume = options.resume or options.retry_failed
    with (
        opened(options.folder, overwrite=options.overwrite, resume=resume) as ledger,
        _threads(options.threads),
        log_to(options.log or options.folder / "run.log"),
    ):
        plan = make_plan(index, models, options.shard, options.of_rows(), options.renderers)
        kept = ledger.keep([job.slot for job in plan.jobs], failed=not options.retry_failed)
        jobs = [job for job in plan.jobs if job.slot not in kept]
        LOG.info(
            "began: %d rows to make, %d stand already, %d readers",
            len(jobs),
            len(kept),
            options.readers,
        )
        on_plan(len(plan.jobs), len(kept))
        # for the tables, while the network waits for the first images
        threading.Thread(target=import_module, args=("pyarrow.parquet",), daemon=True).start()
        try:
            work = (options.engine or Work)(models, options)
            stopped = _work(work, jobs, _enough(readers, options.readers, jobs), ledger, on_study)
        except KeyboardInterrupt:
            stopped = INTERRUPTED
        LOG.info("ended: %s", stopped or "all done")

        def record(results: IndexedResults) -> dict[str, Any]:
            order: list[int] = []
            noted = _noting(results, order)
            counts = count(noted, index, plan.study_indices, len(models))
            ended = {
                "seconds": round(time.monotonic() - start, 2),
                "stopped": stopped,
                "interrupted": stopped == INTERRUPTED,
            }
            whole = {"began": began, **ended, "counts": counts, **_record(models, options, plan)}
            return whole if options.shard.of == 1 else {**whole, "order": order}

        written = write_tables(options.folder, ledger.results(), record)
    joined = options.shard.of > 1 and join_shards(options.out, options.shard.of)
    return Summary(Results(options.folder), written["counts"], stopped, joined)


def _work(
    work: Work,
    jobs: Sequence[Job],
    readers: Sequence[Reader],
    ledger: Ledger,
    on_study: Callable[[StudyResult], None],
) -> str | None:
    """File the results of all jobs. Returns why not all were made, or None."""
    failures, most = 0, work.options.max_failures
    for of_study in work.results(jobs, readers):
        # study by study, so that a kill loses little
        ledger.put([(job.slot, result) for job, result in of_study])
        for job, result in of_study:
            log_result(job.slot, result)
            on_study(result)
        failures += any(result.status == "failed" for _, result in of_study)
        if most is not None and failures > most:
            return TOO_MANY
    return None


def _noting(results: IndexedResults, order: list[int]) -> IndexedResults:
    """The same, and in `order` whose they are: shards are joined by it."""
    for study_index, result in results:
        order.append(study_index)
        yield study_index, result


def _enough(readers: Sequence[Reader], most: int, jobs: Sequence[Job]) -> list[Reader]:
    """A reader a study, but for the most that are allowed; at least one."""
    wanted = max(1, min(most, len({job.slot.study_index for job in jobs})), len(readers))
    return [*readers, *(Reader() for _ in range(wanted - len(readers)))]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for the network while the run goes on."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record(models: Sequence[InvertibleNetwork], options: Options, plan: Plan) -> dict[str, Any]:
    packages = ("medinv", "torch", "monai", "pydicom", "numpy")
    return {
        "shard": [options.shard.number, options.shard.of],
        "plan_sha256": plan.sha256,
        "models": [_model_record(model, options) for model in models],
        "device": described(next(models[0].parameters()).device) if models else None,
        "seed": None,
        "phi": options.phi,
        "intake": "lossless" if options.lossless else "resize",
        "timeout_seconds": options.timeout,
        "memory_bytes": options.memory,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "disclaimer": DISCLAIMER,
    }


def _model_record(model: InvertibleNetwork, options: Options) -> dict[str, Any]:
    card, precision = model.card, str(next(model.parameters()).dtype).removeprefix("torch.")
    hashes = {
        "sha256": card.weights_sha256,
        "config_sha256": card.config_sha256,
        "data_sha256": card.data_sha256,
    }
    return {
        "name": card.name,
        **hashes,
        "rule": options.rule or card.aggregation,
        "precision": precision,
    }
