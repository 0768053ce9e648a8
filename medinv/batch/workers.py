"""Reading in a process of its own: one that crashes or hangs is replaced.

Only the file it was at, or the study, is lost.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import medinv
from medinv.batch.reader import Done
from medinv.data.dicom.records import Broken, Instance
from medinv.data.frame import Frame
from medinv.data.intake import FramesRead, ReadRequest
from medinv.errors import CrashedError, MedinvError, TimedOutError

_COMMAND = (sys.executable, "-m", "medinv.batch.child")
GRACE = 60
"""Seconds for a reader to start, and beyond the time allowed until one without a parent ends."""


class Stopped(Exception):
    """The reader was told to stop while it read."""


class Reader:
    """One reading process, started when it is first needed, or before, by `start`.

    `stop` may be called from another thread.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._ready = self._stopped = False

    def start(self) -> None:
        """Let the process start while something else is done. One that was stopped stays so."""
        ours, theirs = socket.socketpair()
        paths = [str(Path(medinv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        quiet = subprocess.DEVNULL  # what decoders print may hold header values
        with ours, theirs:
            self._process = subprocess.Popen(
                [*_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                # Ctrl-C in the terminal is for this process alone, which then ends that one
                process_group=0,
            )
            self._connection, self._ready = Connection(ours.detach()), False

    def ready(self) -> None:
        """Wait until it can be asked. Raises Stopped, and MedinvError where it does not start."""
        self._connect()

    def read(self, request: ReadRequest, timeout: float) -> FramesRead:
        """Read all images of a request, in `timeout` seconds at most.

        Never raises on bad input; raises Stopped.
        """
        read, began = FramesRead(request.study_index), time.monotonic()
        rest, left = list(request.instances), timeout
        while rest:
            wanted = replace(request, instances=tuple(rest))
            left = self._read(read, rest, (wanted, int(timeout) + GRACE), left)
            if left <= 0:
                read.frames, rest = [], []
                read.broken = [_timed_out(instance, timeout) for instance in request.instances]
        read.seconds = time.monotonic() - began
        return read

    def stop(self) -> None:
        """End the process, however busy it is, for good."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # stuck in the kernel
                self._process.wait(1)

    def _read(
        self,
        read: FramesRead,
        rest: list[Instance],
        message: tuple[ReadRequest, int],
        left: float,
    ) -> float:
        """Take what comes back off `rest` until all has, or the process is dead.

        Returns the seconds left; 0 if there are none.
        """
        connection = self._connect()
        frames: list[Frame] = []
        deadline = time.monotonic() + left
        try:
            connection.send(message)
            while rest:
                if not connection.poll(max(deadline - time.monotonic(), 0)):
                    self._end(connection, kill=True)
                    return 0
                answer = connection.recv()
                if isinstance(answer, Done):
                    _settle(read, rest.pop(0), frames, answer)
                    frames = []
                else:
                    frames.append(answer)
        except (EOFError, ConnectionError):
            read.broken.append(_crashed(rest.pop(0), self._end(connection, kill=False)))
        return max(deadline - time.monotonic(), 1e-3)

    def _connect(self) -> Connection:
        if self._connection is None:
            self.start()
        connection = self._connection
        if connection is None or self._stopped:
            raise Stopped
        if not self._ready:
            self._await(connection)
        if self._stopped:
            raise Stopped
        return connection

    def _await(self, connection: Connection) -> None:
        try:
            self._ready = bool(connection.poll(GRACE) and connection.recv())
        except (EOFError, ConnectionError):
            self._ready = False
        if not self._ready and not self._stopped:
            code = self._end(connection, kill=True)
            raise MedinvError(
                f"the process that reads files does not start (exit code {code}): try "
                f"{' '.join(_COMMAND)} 0",
                stage="read",
            )

    def _end(self, connection: Connection, *, kill: bool) -> int | None:
        """Bury the process.

        Returns its exit code: minus the signal it died of, None if it cannot be killed.
        """
        process = self._process
        if self._stopped or process is None:
            raise Stopped
        if kill:
            process.kill()
        code: int | None = None
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:  # stuck in the kernel, such as on a drive that is gone
            process.kill()
        connection.close()
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


def _settle(read: FramesRead, instance: Instance, frames: list[Frame], done: Done) -> None:
    read.decoder_warnings += done.decoder_warnings
    if done.error is not None:
        read.broken.append(Broken(instance.source, instance.study_uid, done.error))
        return
    frames += [done.last] if done.last is not None else []
    for frame in frames:
        frame.instance = instance  # one object for all frames, not the copies that came back
    read.frames += frames


def _crashed(instance: Instance, code: int | None) -> Broken:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    message = (
        f"the process that read it died ({how}): its decoder does not survive this file, or the "
        "memory ran out"
    )
    error = CrashedError(message, path=instance.source)
    return Broken(instance.source, instance.study_uid, error)


def _timed_out(instance: Instance, timeout: float) -> Broken:
    error = TimedOutError(
        f"the study was not read within {timeout:g} s; allow more with --timeout and "
        "--retry-failed",
        path=instance.source,
    )
    return Broken(instance.source, instance.study_uid, error)
