"""`medinv prepare` beside decoding alone, on the same files.

    MEDINV_DATA=... python -m pipelines.intake.prepare_rate [--images 400] [--repeats 3]

The CT slices of MEDINV_DATA (else one that pydicom ships) under new UIDs, uncompressed and, a
quarter as many, as JPEG 2000 (lossless). `decode`: pydicom's dcmread and decoder, in as many
processes as there are cores. `prepare`: the command, with start, index, reading, split, files and
contact sheet. Each measurement is a process of its own; those of a repeat run in turn, and shares
are taken within a repeat: of the clock, and of the seconds of all processors, which other work on
the machine does not count to. What an image more costs is told by a quarter of the images beside
all of them: the start of Python and of the readers, and the contact sheet, are the same for both.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import pydicom

from pipelines.intake import ways
from pipelines.intake.run import sources
from pipelines.record import Table, record

COLUMNS = (
    "files",
    "images",
    "images/s",
    "of decode, clock",
    "of decode, processors",
    "ms an image more, decode / prepare",
    "of decode, an image more",
    "MB",
)
NOTE = (
    "Medians. The third and the last share are of seconds of all processors. MB: largest process "
    "at its peak."
)
FEWER = 4


def write_images(folder: Path, images: int, *, compressed: bool) -> Path:
    """One slice a study and a patient, and a list of labels: equal slices have one label."""
    (folder / "in").mkdir(parents=True)
    made = []
    for number, data in enumerate(sources(40)):
        path = folder / f"source-{number}"
        path.write_bytes(data)
        dataset = pydicom.dcmread(path)
        if compressed:
            dataset.compress(pydicom.uid.JPEG2000Lossless)
        made.append(dataset)
    rows = ["sop,label,patient"]
    for number in range(images):
        dataset, uid = made[number % len(made)], f"1.2.4.{number}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.1"
        dataset.PatientID = f"P{number % len(made)}"
        dataset.save_as(folder / "in" / f"{number:05d}.dcm")
        label = "ab"[zlib.crc32(made[number % len(made)].PixelData) % 2]
        rows.append(f"{uid}.1.1,{label},P{number % len(made)}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def measured(what: str, folder: Path) -> dict[str, float]:
    """One run in a process of its own: seconds of the clock and of processors, and MB."""
    command = [sys.executable, "-m", "pipelines.intake.prepare_rate", "--one", what, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def one(what: str, folder: Path) -> None:
    """Print the measurement of this process and its children."""
    if what == "decode":
        go = ways.decode_on_all_cores(folder / "in")
    else:
        words = ["prepare", folder / "in", "--labels", folder / "labels.csv"]
        words += ["--out", folder / "set", "--overwrite", "--readers", ways.CORES, "--allow-absent"]
        command = [sys.executable, "-m", "medinv", *map(str, words)]
        go = lambda: subprocess.run(command, check=True, capture_output=True).returncode  # noqa: E731
    began, used = time.perf_counter(), _processors()
    go()
    seconds, cpu = time.perf_counter() - began, _processors() - used
    peak = max(resource.getrusage(who).ru_maxrss / 1024 for who in _WHO)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": peak}))


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _processors() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in _WHO)


def line(label: str, images: int, repeats: int, folder: Path, few: Path) -> list[str]:
    """Medians over repeats."""
    ways_run = ("decode", "prepare")
    runs, small = [], []
    for _ in range(repeats):
        runs.append({what: measured(what, folder) for what in ways_run})
        small.append({what: measured(what, few) for what in ways_run})
    rate = statistics.median(images / run["prepare"]["seconds"] for run in runs)
    shares = [
        statistics.median(run["decode"][key] / run["prepare"][key] for run in runs)
        for key in ("seconds", "cpu")
    ]
    more = {what: statistics.median(r[what]["cpu"] for r in runs) for what in ways_run}
    for what in ways_run:
        more[what] -= statistics.median(run[what]["cpu"] for run in small)
        more[what] *= 1000 / (images - images // FEWER)
    memory = statistics.median(run["prepare"]["memory"] for run in runs)
    return [
        label,
        str(images),
        f"{rate:.0f}",
        *(f"{share:.2f}" for share in shares),
        f"{more['decode']:.2f} / {more['prepare']:.2f}",
        f"{more['decode'] / more['prepare']:.2f}",
        f"{memory:.0f}",
    ]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments.one[0], Path(arguments.one[1]))
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for compressed, label in ((False, "uncompressed"), (True, "JPEG 2000")):
            images = arguments.images // (4 if compressed else 1)
            folder, few = (
                write_images(Path(temporary) / f"{label} {n}", n, compressed=compressed)
                for n in (images, images // FEWER)
            )
            rows.append(line(label, images, arguments.repeats, folder, few))
            print(" | ".join(rows[-1]), flush=True)
    record(
        "intake-prepare",
        title="medinv prepare beside decoding alone",
        claim="What making a set costs beyond decoding its images.",
        tables=[Table("Rate", COLUMNS, rows, NOTE)],
        made={
            "command": "python -m pipelines.intake.prepare_rate " + " ".join(sys.argv[1:]),
            "cores": ways.CORES,
        },
    )


if __name__ == "__main__":
    main()
