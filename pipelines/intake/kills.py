"""`medinv classify` killed at random moments of index, reading and writing, then resumed.

The log of a run says how far it was: no line of this start means that it was indexing, `began`
that it was reading, `ended` that it was writing the tables. In one results folder it is killed
once in each, and resumed to the end; the results must be those of a run that nobody killed.
"""

import json
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from pipelines.intake.commands import PATIENCE, command, wait
from pipelines.intake.harm import Counts, damaged, seeds

PHASES = ("indexing", "reading", "writing")
STUDIES = 40  # of which every fourth is damaged
WITHIN = 0.7  # share of a phase in which kills fall: it may be quicker than in the first run
_SAYS = {"reading": " began: ", "writing": " ended: "}  # the log, when the phase begins
Fates = Counter[tuple[str, str]]


def killed_classify(kills: int, seed: int, model: Path) -> tuple[Counts, Counter[str]]:
    """What became of the files of all runs, and in which phases the kills fell.

    Raises RuntimeError where a run that was not killed gives no results.
    """
    chance, counts, hits = random.Random(seed), Counts(), Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        folder, whole = _write(Path(temporary) / "in", seed), Path(temporary) / "whole"
        words = ("classify", folder, "--model", model, "--timeout", 120)
        seconds = _whole((*words, "--out", whole), whole)
        for start in range(0, kills, len(PHASES)):
            out = Path(temporary) / f"out-{start}"
            resumed = (*words, "--out", out, "--resume")
            for phase in PHASES[: kills - start]:
                hits.update(
                    _killed(resumed, out, phase, chance.uniform(0.0, WITHIN * seconds[phase]))
                )
            _finished(resumed, out)
            _judge(fates(out), fates(whole), counts)
    counts.tried = hits.total()
    return counts, hits


def fates(out: Path) -> Fates:
    """How often each file met each fate: `read`, or the code of why not."""
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    found = Counter(
        ("read", path) for row in rows for path in {image["path"] for image in row["instances"]}
    )
    found.update(
        (item["code"], item["source"]) for row in rows for item in (*row["skipped"], *row["broken"])
    )
    return found


def _write(folder: Path, seed: int) -> Path:
    folder.mkdir()
    broken, sound = damaged(STUDIES, seed), [data for data in seeds() if len(data) < 20_000]
    for number in range(STUDIES):
        data = sound[number % len(sound)].replace(b".9999999", b".%07d" % number)
        (folder / f"{number:03d}.dcm").write_bytes(next(broken) if number % 4 == 3 else data)
    return folder


def _whole(words: tuple[object, ...], out: Path) -> dict[str, float]:
    """The seconds that each phase takes in a run that nobody kills."""
    with command(*words) as process:
        times = [time.monotonic()]
        for phase in PHASES[1:]:
            wait(lambda phase=phase: _said(out, phase) or _over(process), phase, 0.005)
            times.append(time.monotonic())
        process.wait(PATIENCE)
        times.append(time.monotonic())
    if not (out / "run.json").is_file():
        raise RuntimeError("classify gave no results without being killed")
    return {phase: end - start for phase, start, end in zip(PHASES, times, times[1:], strict=False)}


def _killed(words: tuple[object, ...], out: Path, phase: str, seconds: float) -> list[str]:
    """Kill it so long after a phase began; the phase that it was in, none where it had ended."""
    before = {one: _said(out, one) for one in _SAYS}
    with command(*words) as process:
        if phase in _SAYS:
            wait(lambda: _said(out, phase) > before[phase] or _over(process), phase, 0.005)
        time.sleep(seconds)
        if _over(process):
            return []
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    return ["indexing", *(one for one in _SAYS if _said(out, one) > before[one])][-1:]


def _finished(words: tuple[object, ...], out: Path) -> None:
    with command(*words) as process:
        process.wait(PATIENCE)
    if not (out / "run.json").is_file():
        raise RuntimeError("classify gave no results though it was resumed")


def _judge(found: Fates, truth: Fates, counts: Counts) -> None:
    """Against the run that nobody killed: a fate that is not there, or twice."""
    counts.read += sum(n for (fate, _), n in found.items() if fate == "read")
    counts.refused += sum(n for (fate, _), n in found.items() if fate != "read")
    counts.lost += (truth - found).total()
    counts.doubled += (found - truth).total()


def _said(out: Path, phase: str) -> int:
    try:
        return (out / "run.log").read_text().count(_SAYS[phase])
    except FileNotFoundError:
        return 0


def _over(process: subprocess.Popen) -> bool:
    return process.poll() is not None
