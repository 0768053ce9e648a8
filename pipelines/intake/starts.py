"""What the commands take before they work: processor seconds of starts and of small runs.

    python -m pipelines.intake.starts [--repeats 3]

Each is run once to warm the disk's cache and then so many times; told are the least processor
seconds, user and system, of the command and its reading processes, and the least seconds on the
clock, which other work on the machine makes longer. Writes pipelines/results/intake-starts.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from medinv.batch.workers import started
from pipelines.intake.cost import write_studies
from pipelines.record import Table, record

FILES = 100
DONE = (0, 3)  # exit codes: all classified, nothing in scope
COLUMNS = ("what", "processor s", "aim, s", "clock s")
MODELS = ("phantom-opacity", "chest-xray")


def spent(action: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds of the processes that it starts, and seconds on the clock."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    action()
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2]), clock


def command(*words: object) -> Callable[[], object]:
    """`medinv ...`, to its end, which may be that all is out of scope.

    Raises RuntimeError where it fails.
    """
    line = [sys.executable, "-m", "medinv", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = subprocess.DEVNULL

    def run() -> None:
        done = subprocess.run(line, stdout=quiet, stderr=quiet, env=environment)
        if done.returncode not in DONE:
            raise RuntimeError(f"exit code {done.returncode}: {' '.join(line)}")

    return run


def reader() -> None:
    """A reading process, until it can be asked."""
    with started(1) as (one,):
        one.ready()


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        many, two, out = (Path(temporary) / name for name in ("many", "two", "out"))
        for folder, studies in ((many, FILES), (two, 2)):
            folder.mkdir()
            write_studies(folder, studies)
        dry = ("classify", many, "--model", MODELS[0], "--dry-run")
        whole = ("--out", out, "--overwrite", "--readers", 1)
        actions: dict[str, tuple[Callable[[], object], str]] = {
            "medinv --help": (command("--help"), "0.3"),
            "medinv --version": (command("--version"), "-"),
            "medinv models": (command("models"), "0.5"),
            f"medinv classify --dry-run, {FILES} files": (command(*dry), "2"),
            "a reading process": (reader, "0.3"),
        }
        for model in MODELS:
            action = command("classify", two, "--model", model, *whole)
            actions[f"medinv classify, two studies, {model}"] = action, "3"
        rows = []
        for name, (action, aim) in actions.items():
            action()
            runs = [spent(action) for _ in range(given.repeats)]
            used, clock = (min(run[k] for run in runs) for k in (0, 1))
            rows.append([name, f"{used:.2f}", aim, f"{clock:.2f}"])
            print(" | ".join(rows[-1]), flush=True)
    record(
        "intake-starts",
        title="Starts and small runs",
        claim="Processor seconds of commands that do little, and what we aimed at.",
        tables=[Table("Starts", COLUMNS, rows)],
        made={
            "command": "python -m pipelines.intake.starts " + " ".join(sys.argv[1:]),
            "cores": os.cpu_count(),
        },
    )


if __name__ == "__main__":
    main()
