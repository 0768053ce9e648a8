"""One run at a time in a results folder: a lock that names who holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from medinv.errors import ConfigError, OutputError

FILE = "run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs; makes the folder.

    The kernel ends the lock with the process that holds it, so that of a run that was killed on
    this machine only the file is left, and is taken over. Raises ConfigError while another run is
    alive here, or where one of another machine has left its lock, which nobody here can judge;
    OutputError where nothing can be written.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = _taken(path)
    except BlockingIOError as error:
        raise ConfigError(
            f"another run is writing here ({_holder(path)}): wait for it or name another folder",
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
        stream = path.open("a+", encoding="utf-8")
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
    left = _parsed(stream.read())
    if left and left.get("host") != socket.gethostname():
        raise ConfigError(
            f"a run on another machine is writing here or was killed ({_named(left)}): if it is "
            f"over, remove {path.name} and run again",
            path=path,
        )


def _sign(stream: IO[str]) -> None:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    stream.truncate(0)
    stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "began": began}))
    stream.flush()


def _holder(path: Path) -> str:
    try:
        return _named(_parsed(path.read_text("utf-8")))
    except OSError:
        return _named({})


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _named(left: dict[str, object]) -> str:
    known = {key: left.get(key, "unknown") for key in ("pid", "host", "began")}
    return "process {pid} on {host}, since {began}".format(**known)
