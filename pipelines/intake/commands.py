"""Commands of the program as processes that are killed, and waited for until a deadline."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 600.0  # s for a command to start, or for what it is to do


@contextmanager
def command(*words: object, until: str = "") -> Iterator[subprocess.Popen]:
    """`medinv ...` as a process, when it has said so much; killed at the end.

    Raises RuntimeError where it ends before it has said it, TimeoutError where it never does.
    """
    line = [sys.executable, "-u", "-m", "medinv", *map(str, words)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(line, stdout=said, stderr=subprocess.STDOUT)

        def begun() -> bool:
            said.seek(0)
            text = said.read()
            if process.poll() is not None and until not in text:
                raise RuntimeError(f"{words[0]} ended by itself:\n{text}")
            return until in text

        try:
            wait(begun, f"{words[0]} to start")
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE)


def wait(true: Callable[[], object], what: str, pause: float = 0.05) -> None:
    """Until it is so. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(pause)
