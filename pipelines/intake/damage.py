"""Damaged files, malformed requests and kills: does anything crash, hang, vanish or come twice?

    python -m pipelines.intake.damage [--files 10000] [--kills 50] [--requests 500]
        [--seed 0] [--model DIR]

Half of the files are damaged in their headers, half in their compressed pixels; `medinv classify`
gives every one of them one fate. A third of the kills each is of `classify` (while it indexes,
reads and writes, then resumed), of `send` and of `receive`. The same seed damages the same way;
when a kill falls depends on the machine. Without --model a small one is trained for it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import astuple, fields
from pathlib import Path

from pipelines.intake.harm import Counts, Part, damaged
from pipelines.intake.kills import Fates, fates, killed_classify
from pipelines.intake.network_damage import killed_receive, killed_send, malformed
from pipelines.intake.small_model import write_small_model
from pipelines.record import Table, record

FILES_AT_ONCE = 1000  # in one run: one that hangs or crashes is known by its files
COLUMNS = ("what", *(field.name for field in fields(Counts)))
NOTE = (
    "Of files and requests, `tried` counts them; of kills, the kills, and `refused` and `read` the"
    " files, images or answers that were there in the end. Refused are files that cannot be read or"
    " are not eligible."
)


def classified(files: int, seed: int, part: Part, model: Path) -> tuple[Counts, Counter[str]]:
    """Damaged files through `medinv classify`, and by code why they were refused.

    Raises RuntimeError where a run ends without results.
    """
    counts, codes = Counts(tried=files), Counter[str]()
    everything = damaged(files, seed, part)
    for start in range(0, files, FILES_AT_ONCE):
        with tempfile.TemporaryDirectory() as temporary:
            folder, out = Path(temporary) / "in", Path(temporary) / "out"
            folder.mkdir()
            given = {folder / f"{k:05d}.dcm" for k in range(min(FILES_AT_ONCE, files - start))}
            for path in sorted(given):
                path.write_bytes(next(everything))
            found = _classify(folder, out, model)
        _count(found, given, counts, codes)
    return counts, codes


def _classify(folder: Path, out: Path, model: Path) -> Fates:
    line = [sys.executable, "-m", "medinv", "classify", folder, "--model", model, "--out", out]
    done = subprocess.run(
        [*map(str, line), "--timeout", "60", "--memory", "2"], capture_output=True, text=True
    )
    if not (out / "run.json").is_file() or "Traceback" in done.stderr:
        raise RuntimeError(f"classify ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return fates(out)


def _count(found: Fates, given: set[Path], counts: Counts, codes: Counter[str]) -> None:
    known = Counter(path for _, path in found.elements())
    counts.read += sum(n for (fate, _), n in found.items() if fate == "read")
    counts.lost += len(given - {Path(path) for path in known})
    counts.doubled += sum(n - 1 for n in known.values())
    for (fate, _), n in found.items():
        if fate != "read":
            counts.refused += n
            codes[fate] += n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    began, seed, third = time.monotonic(), arguments.seed, -(-arguments.kills // 3)
    rows: dict[str, Counts] = {}

    def note(what: str, counts: Counts) -> None:
        rows[what] = counts
        print(f"{time.monotonic() - began:.0f} s, {what}: {counts}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        model = arguments.model or write_small_model(Path(temporary) / "model")
        note("malformed requests", malformed(arguments.requests, seed))
        note("receive killed", killed_receive(third, seed, model))
        note("send killed", killed_send(third, seed))
        counts, hits = killed_classify(arguments.kills - 2 * third, seed, model)
        phases = ", ".join(f"{n} while {phase}" for phase, n in sorted(hits.items()))
        note(f"classify killed ({phases}), then resumed", counts)
        codes = Counter[str]()
        for part in ("header", "codestream"):
            counts, why = classified(arguments.files // 2, seed, part, model)
            note(f"files damaged in their {part}", counts)
            codes += why
    bad = sum(counts.lost + counts.doubled for counts in rows.values())
    page = record(
        "intake-damage",
        title="Damaged files, malformed requests and kills",
        claim=f"Lost or doubled: {bad}.",
        tables=[
            Table(
                "What became of them",
                COLUMNS,
                [[what, *map(str, astuple(counts))] for what, counts in rows.items()],
                f"{NOTE} Why: {', '.join(f'{code} {n}' for code, n in codes.most_common())}.",
            ),
        ],
        made={
            "command": "python -m pipelines.intake.damage " + " ".join(sys.argv[1:]),
            "seed": seed,
            "seconds": round(time.monotonic() - began),
        },
    )
    print(page.read_text())
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
