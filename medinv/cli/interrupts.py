"""Ctrl-C, once and again: no traceback, and nothing that was promised is lost."""

import os
import signal
from collections.abc import Callable
from types import FrameType

from medinv.cli.exits import INTERRUPTED


def on_interrupt(
    first: Callable[[], object],
    signals: tuple[int, ...] = (signal.SIGINT,),
    last: Callable[[], object] = lambda: None,
) -> None:
    """Call `first` at the first of these signals; at a second leave at once, with exit code 130.

    Whatever is worth keeping is on the disk, whole, before it is promised to anybody: leaving at
    once is as safe as a power cut. `last` is called on leaving, to delete what nobody is to find.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        try:
            last()
        finally:
            os._exit(INTERRUPTED)

    def handle(number: int, frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, leave)
        first()

    for one in signals:
        signal.signal(one, handle)


def say(text: str) -> None:
    """A line on stderr, past Python's buffers: the signal may have come amid another line."""
    os.write(2, f"medinv: {text}; Ctrl-C again to leave at once\n".encode())


def interrupt() -> None:
    """Say so and end the command. Raises KeyboardInterrupt."""
    say("interrupted")
    raise KeyboardInterrupt
