"""Reading in a process of its own: one that crashes or hangs is replaced, and only the file it was at, or the study, is lost."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import medinv
from medinv.batch.reader import Done, Film, Task
from medinv.data.dicom.records import Broken, Instance
from medinv.errors import CrashedError, MedinvError, TimedOutError

_COMMAND = (sys.executable, "-m", "medinv.batch.reader")
GRACE = 60  # seconds: for a reader to start, and beyond the time allowed until one whose parent is gone ends by itself


@dataclass(frozen=True)
class Request:
    """Images of one study to be read; `position` comes back with the answer."""

    position: int
    instances: tuple[Instance, ...]
    sizes: tuple[int, ...]
    display: bool = False
    lossless: bool = False
    only: frozenset[tuple[str, int]] | None = (
        None  # source and frame, from 0, of the frames wanted; None: all
    )
    decoded: dict[tuple[str, int], np.ndarray] = field(
        default_factory=dict
    )  # network inputs that came back, to be certified


@dataclass
class ReadStudy:
    """What reading a request gave: every instance is in `films`, a frame each, or in `broken`."""

    position: int
    films: list[Film] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    decoder_warnings: int = 0
    seconds: float = 0.0


class Stopped(Exception):
    """The reader was told to stop while it read."""


class Reader:
    """One reading process, started when it is first needed, or before, by `start`. `stop` may be called from another thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._ready = self._stopped = False

    def start(self) -> None:
        """Let the process start while something else is done. A reader that was stopped stays so."""
        ours, theirs = socket.socketpair()
        command = [*_COMMAND, str(theirs.fileno())]
        path = os.pathsep.join(
            filter(None, [str(Path(medinv.__file__).parents[1]), os.environ.get("PYTHONPATH")])
        )
        quiet = subprocess.DEVNULL  # what decoders print may hold header values
        with ours, theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                env={**os.environ, "PYTHONPATH": path},
            )
            self._connection, self._ready = Connection(ours.detach()), False

    def read(self, request: Request, timeout: float) -> ReadStudy:
        """Read all images of a request, in `timeout` seconds at most. Never raises on bad input; raises Stopped."""
        study, began = ReadStudy(request.position), time.monotonic()
        rest, left = list(request.instances), timeout
        while rest:
            left = self._read(study, rest, _task(request, rest, timeout), left)
            if left <= 0:
                study.films, study.broken, rest = (
                    [],
                    [_timed_out(instance, timeout) for instance in request.instances],
                    [],
                )
        study.seconds = time.monotonic() - began
        return study

    def stop(self) -> None:
        """End the process, however busy it is, for good."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # stuck in the kernel
                self._process.wait(1)

    def _read(self, study: ReadStudy, rest: list[Instance], task: Task, left: float) -> float:
        """Take what comes back off `rest` until all has, or the process is dead. Returns the seconds left; 0 if there are none."""
        connection = self._connect()
        films, deadline = [], time.monotonic() + left
        try:
            connection.send(task)
            while rest:
                if not connection.poll(max(deadline - time.monotonic(), 0)):
                    self._end(kill=True)
                    return 0
                answer = connection.recv()
                if isinstance(answer, Done):
                    _settle(study, rest.pop(0), films, answer)
                    films = []
                else:
                    films.append(answer)
        except (EOFError, ConnectionError):
            study.broken.append(_crashed(rest.pop(0), self._end(kill=False)))
        return max(deadline - time.monotonic(), 1e-3)

    def _connect(self) -> Connection:
        if self._connection is None:
            self.start()
        if not self._ready:
            self._await()
        if self._stopped:
            raise Stopped
        return self._connection

    def _await(self) -> None:
        try:
            self._ready = bool(self._connection.poll(GRACE) and self._connection.recv())
        except (EOFError, ConnectionError):
            self._ready = False
        if not self._ready and not self._stopped:
            raise MedinvError(
                f"the process that reads files does not start (exit code {self._end(kill=True)}): try {' '.join(_COMMAND)} 0",
                stage="read",
            )

    def _end(self, *, kill: bool) -> int | None:
        """Bury the process. Returns its exit code: minus the signal it died of, None if it cannot be killed."""
        if self._stopped:
            raise Stopped
        if kill:
            self._process.kill()
        try:
            code = self._process.wait(5)
        except (
            subprocess.TimeoutExpired
        ):  # stuck in the kernel, such as on a network drive that is gone
            code = None
            self._process.kill()
        self._connection.close()
        self._connection = None
        return code


@contextmanager
def started(count: int) -> Iterator[list[Reader]]:
    """So many readers, starting while something else is done; stopped at the end."""
    readers = [Reader() for _ in range(count)]
    try:
        for reader in readers:
            reader.start()
        yield readers
    finally:
        for reader in readers:
            reader.stop()


def _task(request: Request, rest: list[Instance], timeout: float) -> Task:
    return Task(
        tuple(rest),
        request.sizes,
        request.lossless,
        request.display,
        request.only,
        request.decoded,
        int(timeout) + GRACE,
    )


def _settle(study: ReadStudy, instance: Instance, films: list[Film], done: Done) -> None:
    study.decoder_warnings += done.decoder_warnings
    if done.error is None:
        films += [done.film] if done.film is not None else []
        for film in films:
            film.instance = instance
        study.films += films
    else:
        study.broken.append(Broken(instance.source, instance.study_uid, done.error))


def _crashed(instance: Instance, code: int | None) -> Broken:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    error = CrashedError(
        f"the process that read it died ({how}): its decoder does not survive this file, or the memory ran out",
        path=instance.source,
    )
    return Broken(instance.source, instance.study_uid, error)


def _timed_out(instance: Instance, timeout: float) -> Broken:
    error = TimedOutError(
        f"the study was not read within {timeout:g} s; allow more with --timeout and --retry-failed",
        path=instance.source,
    )
    return Broken(instance.source, instance.study_uid, error)
