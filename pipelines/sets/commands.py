"""Runs what is typed, and says what it cost and what it said."""

import os
import resource
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

import torch

from medinv.cli.main import main
from medinv.training import publish, train  # noqa: F401  # once, not once a command
from pipelines.sets.inputs import data


class Said(TypedDict):
    """One command: as typed, its exit code, what it printed, and processor seconds.

    Those of Python's own start are not among them.
    """

    typed: str
    code: int
    out: str
    seconds: float


def run(typed: str, folder: Path) -> Said:
    """`medinv TYPED` in a folder, in a process of its own, on one thread; output is kept as its
    last 4,000 characters.

    Ctrl-C goes to the command, whose exit code is then 130.
    """
    words = shlex.split(typed.replace("DATA/", f"{data('')}/"))
    before, usual = _children(), signal.signal(signal.SIGINT, lambda *_: None)
    with tempfile.TemporaryFile() as out:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _be(words, folder, out.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.signal(signal.SIGINT, usual)
        out.seek(0)
        said = out.read().decode("utf-8", "replace")
    return Said(
        typed=f"medinv {typed}",
        code=code,
        out=said[-4000:],
        seconds=round(_children() - before, 1),
    )


def _be(words: list[str], folder: Path, out: int) -> None:
    """Become the command; does not return."""
    code = 70  # of what is no exit of the command's own
    try:
        for stream in (1, 2):
            os.dup2(out, stream)
        os.chdir(folder)
        os.environ["COLUMNS"] = "200"
        torch.set_num_threads(1)
        sys.argv = ["medinv", *words]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
