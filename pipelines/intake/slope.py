"""Whether the memory of `medinv classify` grows with the studies that it has done.

Resident memory of the command and of its readers is looked at while it goes on, against the number
of studies in its log; the slope is a least-squares line without the first fifth, in which caches
fill, and without the end, at which tables are written.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.intake.commands import command
from pipelines.intake.network_damage import image

_PAUSE = 0.05  # s between looks
_PAGES = 4096 / 2**20  # MB a page


@dataclass(frozen=True)
class Run:
    """Of one run over many studies of one image; memory in MB, slopes in kB a study."""

    studies: int
    seconds_a_study: float  # that the processors spent, command and readers together
    peak: float
    slope: float
    peak_of_readers: float
    slope_of_readers: float


def memory_slope(studies: int, model: Path) -> Run:
    """Classify so many studies. Raises RuntimeError where the run gives too few looks."""
    looks = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "in", Path(temporary) / "out"
        folder.mkdir()
        for number in range(studies):
            image(number).save_as(folder / f"{number:05d}.dcm")
        words = ("classify", folder, "--model", model, "--out", out, "--timeout", 120)
        with command(*words) as process:
            while process.poll() is None:
                if seen := _look(process.pid, out / "run.log"):
                    looks.append(seen)
                time.sleep(_PAUSE)
    done, own, readers, spent = np.array(looks, dtype=float).T
    settled = (done >= studies / 5) & (done < studies)
    if settled.sum() < 10:
        raise RuntimeError(f"only {settled.sum()} looks at the memory: take more studies")
    return Run(
        studies,
        float(np.polyfit(done[settled], spent[settled], 1)[0]),
        float(own.max()),
        float(np.polyfit(done[settled], own[settled], 1)[0] * 1024),
        float(readers.max()),
        float(np.polyfit(done[settled], readers[settled], 1)[0] * 1024),
    )


def _look(pid: int, log: Path) -> tuple[float, float, float, float] | None:
    """Studies done, memory of the command, of its readers (MB), processor seconds of all."""
    try:
        done = log.read_text().count(" study-")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        own, *others = [_of(int(one)) for one in (pid, *children)]
    except (OSError, ValueError, IndexError):  # it has not begun, or ends just now
        return None
    return done, own[0], sum(one[0] for one in others), own[1] + sum(one[1] for one in others)


def _of(pid: int) -> tuple[float, float]:
    """Resident MB and processor seconds of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pages * _PAGES, (int(ticks[11]) + int(ticks[12])) / 100
