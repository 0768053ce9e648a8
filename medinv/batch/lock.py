"""One process at a time in a folder of results or of received images: a lock that names its
holder."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from medinv.errors import ConfigError, OutputError

LOG = logging.getLogger("medinv.lock")
FILE = "run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs; makes the folder.

    The kernel ends the lock with the process that holds it, so that of one that was killed on this
    machine only the file is left: it is taken over, and a warning names it. Raises ConfigError
    while another process is alive here, or where one of another machine has left its lock, which
    nobody here can judge; OutputError where nothing can be written.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = _taken(path)
    except BlockingIOError as error:
        raise ConfigError(
            f"another run or service works in this folder ({_holder(path)}): wait for its end or "
            "name another folder",
            path=folder,
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write here: {error.strerror}; choose a folder you may write to", path=folder
        ) from error
    with stream:
        _check_left_behind(path, stream)
        _sign(stream)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _taken(path: Path) -> IO[str]:
    """The file, locked, and still the one of that name: who held it removes it at the end."""
    while True:
        stream = path.open("a+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
                return stream
        except FileNotFoundError:
            pass
        except BaseException:
            stream.close()
            raise
        stream.close()


def _check_left_behind(path: Path, stream: IO[str]) -> None:
    """A lock of this machine whose process is gone is stale; of another machine nobody knows."""
    stream.seek(0)
    left = _parsed(stream.read(1000))
    if not left:
        return
    if left["host"] != socket.gethostname():
        raise ConfigError(
            f"{_named(left)} works in this folder or was killed, and cannot be seen from here: if "
            f"it has ended, delete {path.name} there",
            path=path.parent,
        )
    LOG.warning("took over the folder from %s, which ended without giving it back", _named(left))


def _sign(stream: IO[str]) -> None:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    stream.truncate(0)
    stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "began": began}))
    stream.flush()


def _holder(path: Path) -> str:
    try:
        return _named(_parsed(path.read_text("utf-8", errors="replace")))
    except OSError:
        return _named({})


def _parsed(text: str) -> dict[str, str]:
    """What a lock says; nothing where it is cut or no lock of ours."""
    try:
        lock = json.loads(text)
        return {key: str(lock[key]) for key in ("pid", "host", "began")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _named(left: dict[str, str]) -> str:
    if not left:
        return "a process that is not named"
    return "process {pid} on {host} since {began}".format(**left)
