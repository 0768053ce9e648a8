"""One service a folder: a lock that names its holder."""

import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import IO

from medinv.errors import ConfigError, OutputError

LOG = logging.getLogger("medinv.net")


class FolderLock:
    """Held until `close`, or the end of the process. The file `lock` names process, host and time.

    The kernel holds it against others on this host, so that the lock of a killed process is free.
    Where the folder is shared, the kernel may not see the other host: a lock that another host
    left is not taken over. Raises ConfigError, which names the holder, and OutputError where the
    folder cannot be written.
    """

    def __init__(self, folder: Path):
        path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a+")
        except OSError as error:
            raise OutputError(
                f"cannot write here: {error.strerror}; choose a folder you may write to",
                path=folder,
            ) from error
        try:
            self._take(path)
        except BaseException:
            self._stream.close()
            raise

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"another medinv receive works in this folder ({_holder(self._stream)[1]}); end it"
                " or name another folder",
                path=path.parent,
            ) from error
        host, holder = _holder(self._stream)
        if host not in ("", socket.gethostname()):
            raise ConfigError(
                f"{holder} holds this folder, and cannot be seen from here; if it has ended,"
                f" delete {path.name} in the folder",
                path=path.parent,
            )
        if host:
            LOG.warning("took over the folder from %s, which ended without giving it back", holder)
        self._write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "at": _now()}))

    def close(self) -> None:
        """Let another service have the folder."""
        if not self._stream.closed:
            self._write("")
            self._stream.close()

    def _write(self, text: str) -> None:
        self._stream.truncate(0)
        self._stream.write(text)
        self._stream.flush()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _holder(stream: IO[str]) -> tuple[str, str]:
    """Host and description; empty and vague where the file says nothing that can be read."""
    try:
        stream.seek(0)
        held = json.loads(stream.read(1000))
        host = str(held["host"])
        return host, f"process {int(held['pid'])} on {host} since {held['at']}"
    except (ValueError, KeyError, TypeError, OSError):
        return "", "a process that is not named"
