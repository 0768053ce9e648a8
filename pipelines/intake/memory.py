"""Whether memory grows with what `medinv classify` and `medinv receive` have done.

    python -m pipelines.intake.memory [--studies 5000] [--associations 300] [--model DIR]

`classify` runs over so many small studies of one image; `receive` is sent as many images as
associations, each of a study of its own, and answers each to an archive on the same machine. The
resident memory of the command and of its reading processes is looked at while it goes on, against
what is done; growth is a least-squares line without the first fifth, in which caches fill, and
without the end, at which tables are written. Writes pipelines/results/intake-memory.
"""

import argparse
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

from pipelines.intake.commands import command
from pipelines.intake.network_damage import (
    archive,
    image,
    service,
    settled,
    stored,
)
from pipelines.intake.small_model import write_small_model
from pipelines.record import Table, record

COLUMNS = (
    "what", "done", "processor s each", "peak, MB", "growth, kB each", "peak of readers, MB",
    "their growth, kB each",
)  # fmt: skip
NOTE = (
    "Growth is the median of the slopes between any two looks, without the first fifth of the run, "
    "in which caches fill, and without its end, at which tables are written. Readers are those "
    "that are there at a time, together."
)
_PAUSE = 0.05  # s between looks
_FEWEST = 10  # looks
_PAGE = 4096 / 2**20  # MB


@dataclass(frozen=True)
class Look:
    """At a command: what it has done, resident MB of it and of its readers, processor seconds."""

    done: int
    own: float
    readers: float
    spent: float


def classified(studies: int, model: Path) -> list[Look]:
    """Looks at `medinv classify` over so many studies."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "in", Path(temporary) / "out"
        folder.mkdir()
        for number in range(studies):
            image(number).save_as(folder / f"{number:05d}.dcm")
        log = out / "run.log"
        with command("classify", folder, "--model", model, "--out", out, "--timeout", 120) as run:
            return _looks(run, lambda: log.read_text().count(" study-"), studies)


def received(associations: int, model: Path) -> list[Look]:
    """Looks at `medinv receive` that is sent so many images, one an association."""
    with tempfile.TemporaryDirectory() as temporary, archive() as (peer, _):
        folder = Path(temporary) / "in"
        settings, words = service(peer, folder, model)

        def send_all() -> None:
            for number in range(associations):
                while not stored(settings.port, image(number)):
                    time.sleep(_PAUSE)

        with command(*words, until="listens") as run:
            threading.Thread(target=send_all, daemon=True).start()
            return _looks(run, lambda: settled(folder), associations)


def _looks(process: subprocess.Popen, done: Callable[[], int], until: int) -> list[Look]:
    """Looks at a process and its children until it ends or all is done."""
    looks: list[Look] = []
    while process.poll() is None and (not looks or looks[-1].done < until):
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            own, *others = [_of(int(one)) for one in (process.pid, *children)]
            readers, spent = (sum(one[k] for one in others) for k in (0, 1))
            looks.append(Look(done(), own[0], readers, own[1] + spent))
        except (OSError, ValueError, IndexError):  # it has not begun, or ends just now
            pass
        time.sleep(_PAUSE)
    return looks


def _of(pid: int) -> tuple[float, float]:
    """Resident MB and processor seconds of a process, with those of its children that ended."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pages * _PAGE, sum(map(int, ticks[11:15])) / 100


def told(what: str, looks: list[Look], until: int) -> list[str]:
    """The row of a run. Raises RuntimeError where there are too few looks."""
    done, own, readers, spent = np.array([list(vars(one).values()) for one in looks], float).T
    steady = (done >= until / 5) & (done < until)
    if steady.sum() < _FEWEST:
        raise RuntimeError(f"only {steady.sum()} looks at the memory: ask for more")

    def slope(values: np.ndarray) -> float:
        return float(theilslopes(values[steady], done[steady])[0])

    cells = [f"{slope(spent):.3f}"]
    for memory in (own, readers):
        cells += [f"{memory.max():.0f}", f"{slope(memory) * 1024:.1f}"]
    return [what, str(until), *cells]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--associations", type=int, default=300)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        model = given.model or write_small_model(Path(temporary) / "model")
        runs = (
            ("classify, studies", classified, given.studies),
            ("receive, associations", received, given.associations),
        )
        rows = [told(what, looks(count, model), count) for what, looks, count in runs if count]
    page = record(
        "intake-memory",
        title="Memory of long runs",
        claim="Resident memory of the commands and of their reading processes, of a small model.",
        tables=[Table("Memory", COLUMNS, rows, NOTE)],
        made={
            "command": f"python -m pipelines.intake.memory --studies {given.studies} "
            f"--associations {given.associations}"
        },
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
