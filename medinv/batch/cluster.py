"""Studies on the machines of a Ray cluster: workers hold the models, this process keeps the ledger.

Each worker is a Ray actor with the models and a reading process of its own; it is sent a few
studies at a time and sends back their rows. One that dies is replaced, and what it had is done
again, study by study; a study that takes `TRIES` workers with it fails by name. Inputs, and the
results folder where reports are written, must lie where every machine sees them under the same
path. Needs the extra `medinv[ray]`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch

from medinv.analysis.result import StudyResult
from medinv.analysis.study import Analyst
from medinv.batch.options import Options
from medinv.batch.plan import Job
from medinv.batch.work import Results, Work
from medinv.batch.workers import Reader
from medinv.data.dicom.records import Broken
from medinv.data.intake import FramesRead
from medinv.errors import ConfigError, CrashedError, MedinvError
from medinv.models.base import InvertibleNetwork

TRIES = 3  # workers that a study may cost
STARTS = 5  # tries of a cluster on this machine: ray gives each half a minute
TOGETHER = 8  # studies that a worker is sent at a time
CORES = 2  # of a worker: its network and its reading process

Answers = list[tuple[int, str]]  # numbers of jobs, and their results as JSON


class _Kept(Reader):
    """A reading process for many requests: it ends with the worker."""

    def stop(self) -> None:
        """Nothing: the next studies are read by it too."""


class Worker:
    """What runs on a machine of the cluster."""

    def __init__(self, models: Sequence[InvertibleNetwork], options: Options):
        torch.set_num_threads(1)
        self._work = Work(models, options, reader=_Kept)
        self._readers = [_Kept()]

    def results(self, jobs: Sequence[Job]) -> Answers:
        """The results of jobs, in whatever order they get done."""
        numbers = {job.slot: number for number, job in enumerate(jobs)}
        return [
            (numbers[job.slot], result.model_dump_json(by_alias=True))
            for of_study in self._work.results(jobs, self._readers)
            for job, result in of_study
        ]


@dataclass(frozen=True)
class _Parcel:
    """Jobs that go to a worker together, those of one study always; `lost`: how often one died."""

    jobs: tuple[Job, ...]
    lost: int = 0

    def again(self) -> "list[_Parcel]":
        """Study by study, so that one that kills its worker takes no other with it."""
        studies = groupby(self.jobs, key=_study)
        return [_Parcel(tuple(of_study), self.lost + 1) for _, of_study in studies]


@dataclass(frozen=True)
class RayEngine:
    """Makes the work of a run on the cluster at `address`; None: on this machine."""

    address: str | None = None

    def __call__(self, models: Sequence[InvertibleNetwork], options: Options) -> "RayWork":
        """Raises ConfigError where ray is not installed."""
        return RayWork(models, options, self.address)


class RayWork:
    """Stands for `medinv.batch.work.Work`."""

    def __init__(self, models: Sequence[InvertibleNetwork], options: Options, address: str | None):
        self.options, self._models, self._address = options, list(models), address
        self._ray = _imported()

    def results(self, jobs: Sequence[Job], readers: Sequence[Reader]) -> Iterator[Results]:
        """The results of all jobs, study by study as they get done. `readers` are not needed."""
        for reader in readers:
            reader.stop()
        begun = not self._ray.is_initialized()
        if begun:
            begin(self._ray, self._address)
        try:
            yield from self._on_cluster(deque(_parcels(jobs)))
        finally:
            if begun:
                self._ray.shutdown()

    def _on_cluster(self, waiting: deque[_Parcel]) -> Iterator[Results]:
        start = self._starter()
        idle = [start() for _ in range(self._count(len(waiting)))]
        busy: dict[Any, tuple[Any, _Parcel]] = {}
        try:
            while waiting or busy:
                while idle and waiting:
                    worker, parcel = idle.pop(), waiting.popleft()
                    busy[worker.results.remote(parcel.jobs)] = worker, parcel
                for done in self._ray.wait(list(busy), num_returns=1)[0]:
                    worker, parcel = busy.pop(done)
                    answers = self._answers(done)
                    idle.append(start() if answers is None else worker)
                    if answers is not None:
                        yield from _by_study(parcel, answers)
                    elif parcel.lost + 1 < TRIES:
                        waiting.extend(parcel.again())
                    else:
                        for one in parcel.again():
                            yield [(job, self._crashed(job)) for job in one.jobs]
        finally:
            for worker in (*idle, *(worker for worker, _ in busy.values())):
                self._ray.kill(worker)

    def _answers(self, done: Any) -> Answers | None:
        """What a worker sent back; None where it died.

        Raises what it raised, and MedinvError where none can start.
        """
        errors = self._ray.exceptions
        try:
            answers: Answers = self._ray.get(done)
        except errors.RayTaskError as error:
            if isinstance(error.cause, MedinvError):
                raise error.cause from error
            raise
        except errors.RayActorError as error:
            if error.actor_init_failed:
                raise MedinvError(
                    "a worker does not start on the cluster: every machine needs this version of "
                    f"medinv and its packages ({_last_line(error)})"
                ) from error
            return None
        except (errors.WorkerCrashedError, errors.OutOfMemoryError):
            return None
        return answers

    def _starter(self) -> Any:
        """A function that starts a worker; the models are sent to the cluster once."""
        place = next(self._models[0].parameters()).device
        remote = self._ray.remote(
            num_cpus=CORES if self._room() >= CORES else 1, num_gpus=int(place.type == "cuda")
        )(Worker)
        models = self._ray.put(self._models)
        options = replace(self.options, engine=None)
        return lambda: remote.remote(models, options)

    def _count(self, parcels: int) -> int:
        """Workers: as many as the cluster has room for, and no more than there is work for."""
        return max(1, min(parcels, self._room() // CORES))

    def _room(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 1))

    def _crashed(self, job: Job) -> StudyResult:
        model = self._models[job.slot.model_index]
        error = CrashedError(
            f"{TRIES} workers died of this study: their memory ran out, or a fault"
        )
        study = job.chosen.study
        read = FramesRead(
            job.slot.study_index,
            broken=[Broken(one.source, study.uid, error) for one in study.instances],
        )
        options = self.options
        analyst = Analyst.of(model, options.rule, phi=options.phi, abstain=options.abstain)
        return analyst.result(job.chosen, read, error)


def begin(ray: Any, address: str | None = None, **more: Any) -> None:
    """Join the cluster at `address`, or start one here, where a busy machine may need more tries.

    Raises MedinvError where there is none.
    """
    said = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    for left in reversed(range(STARTS if address is None else 1)):
        try:
            ray.init(address, **said, **more)
            return
        except Exception as error:  # ray raises plain exceptions, ConnectionError, ValueError, ...
            ray.shutdown()
            if not left:
                place = f"is found at {address}" if address else "starts on this machine"
                raise MedinvError(f"no Ray cluster {place} ({_last_line(error)})") from error


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs the package ray: pip install 'medinv[ray]', or leave out --engine"
        ) from error
    return ray


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()


def _study(job: Job) -> int:
    return job.slot.study_index


def _parcels(jobs: Sequence[Job]) -> Iterator[_Parcel]:
    """Of `TOGETHER` studies each."""
    studies = [tuple(of_study) for _, of_study in groupby(sorted(jobs, key=_study), key=_study)]
    for first in range(0, len(studies), TOGETHER):
        yield _Parcel(tuple(job for study in studies[first : first + TOGETHER] for job in study))


def _by_study(parcel: _Parcel, answers: Answers) -> Iterator[Results]:
    made = [
        (parcel.jobs[number], StudyResult.model_validate_json(text))
        for number, text in sorted(answers)
    ]
    for _, of_study in groupby(made, key=lambda one: _study(one[0])):
        yield list(of_study)
