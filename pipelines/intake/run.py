"""Throughput of `medinv classify` beside decoding alone and beside a MONAI pipeline.

    MEDINV_DATA=... python -m pipelines.intake.run [--studies 200] [--repeats 3] [--model DIR]
        [--what decode classify ...]

The CT slices of MEDINV_DATA (else one that pydicom ships) become studies of four under new UIDs,
uncompressed (four times as many, as they are soon read) and as JPEG 2000 (lossless); a sample
radiograph, spread to 2048 x 2048 pixels, becomes studies of one, uncompressed (three times as
many). Every measurement is a process of its own, timed without the start of Python; those of a
repeat run in turn, and shares are taken within a repeat, so that a busy machine is unkind to all
alike; printed are medians. In one process: `decode`, pydicom's dcmread and decoder to stored
integers; `hashed`, the same and the SHA-256 of them that every row states; `stored`, the same
integers our way; `read`, ours to display grey levels; `index`, all headers; `reader`, all that a
reading process does with a file. `classify`: index and
run, tables included, with the small model of small_model.py, one reading process beside the
network, so that it may use two cores where `decode` uses one; what starts is told by starts.py. `on
free cores`: by processor time, as if each process had a core to itself, and a second one where it
hashes large pixels in a thread, of which the busier counts; `hashed` is what bounds
whoever states the SHA-256 of what was decoded. `on all cores`: decoding in as many processes as
there are cores, classify with as many readers. `monai` (in the first repeat alone): LoadImage with
PydicomReader, DataLoader with one worker, DenseNet121 on 64 x 64.
"""

import argparse
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom

from pipelines.intake import parts, ways
from pipelines.record import Table, record

RADIOGRAPH = Path(__file__).parents[2] / "sample_data" / "studies" / "study-03" / "radiograph.dcm"
WHAT = {
    "decode": lambda folder, model: ways.decode(folder),
    "decode on all cores": lambda folder, model: ways.decode_on_all_cores(folder),
    "hashed": lambda folder, model: ways.decode(folder, hashed=True),
    "index": lambda folder, model: ways.indexed(folder),
    "stored": lambda folder, model: ways.read(folder, "stored"),
    "read": lambda folder, model: ways.read(folder, "display"),
    "reader": ways.reader,
    "classify": lambda folder, model: ways.classify(folder, model, 1),
    "classify on all cores": lambda folder, model: ways.classify(folder, model, ways.CORES),
    "monai": lambda folder, model: ways.monai(folder),
}
READERS = {"classify": 1, "classify on all cores": ways.CORES}
THROUGHPUT = (
    "files, what", "images/s", "of decode", "of decode on all cores", "of decode on free cores",
    "of decode as a chain", "of hashed on free cores", "CPU ms/image", "of other processes",
)  # fmt: skip
CHAIN = (
    "On free cores the busier of two threads of a process counts, as a chain both, one after the "
    "other."
)


@dataclass(frozen=True)
class Kind:
    """Files of a kind; `share` of --studies is how many of them."""

    name: str
    slices: Callable[[], list[pydicom.Dataset]]
    images: int  # a study
    share: float


def ct(most: int, compressed: bool) -> list[pydicom.Dataset]:
    """Slices, uncompressed or JPEG 2000."""
    slices = [pydicom.dcmread(io.BytesIO(data)) for data in sources(most)]
    for dataset in slices if compressed else ():
        dataset.compress(pydicom.uid.JPEG2000Lossless)
    return slices


def radiograph() -> list[pydicom.Dataset]:
    """A sample radiograph, each pixel of it repeated, as large as detectors make them."""
    dataset = pydicom.dcmread(RADIOGRAPH)
    pixels = dataset.pixel_array.repeat(4, 0).repeat(4, 1)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return [dataset]


UNCOMPRESSED = Kind("CT, uncompressed", lambda: ct(40, False), 4, 4)
KINDS = (
    UNCOMPRESSED,
    Kind("CT, JPEG 2000", lambda: ct(8, True), 4, 1),
    Kind("radiograph, uncompressed", radiograph, 1, 3),
)


def sources(most: int) -> list[bytes]:
    """Real CT slices as files."""
    archive = Path(os.environ.get("MEDINV_DATA", "")) / "dicom" / "ct_contrast100.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as members:
            return [
                members.read(name) for name in sorted(members.namelist()) if name.endswith(".dcm")
            ][:most]
    return [Path(pydicom.data.get_testdata_file("CT_small.dcm", download=False)).read_bytes()]


def write_studies(folder: Path, studies: int, kind: Kind = UNCOMPRESSED) -> Path:
    """Studies of a kind, made of its sources in turn, each of a patient of its own."""
    folder.mkdir()
    slices = kind.slices()
    for number in range(studies * kind.images):
        dataset, study = slices[number % len(slices)], number // kind.images
        dataset.PatientID = dataset.PatientName = f"PATIENT-{study}"
        dataset.PatientBirthDate, dataset.PatientSex = "", "O"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{study}", f"1.2.3.{study}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
            f"1.2.3.{study}.1.{number}"
        )
        dataset.save_as(folder / f"{number:05d}.dcm")
    return folder


def measure(what: str, folder: Path, model: Path) -> None:
    """Print one measurement as JSON: processor seconds of this process, of its first thread or of
    what it does beside that, whichever is more, and of the processes it started.
    """
    go = WHAT[what](folder, model)
    began, own, others = time.perf_counter(), time.process_time(), ways.others()
    first = time.thread_time()
    images = go()
    seconds, own = time.perf_counter() - began, time.process_time() - own
    first = time.thread_time() - first
    told = {"images": images, "seconds": seconds, "own": own, "others": ways.others() - others}
    told["busier"] = max(first, own - first)
    print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200, help="for throughput")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--what", nargs="*", choices=list(WHAT), default=list(WHAT))
    parser.add_argument("--networks", nargs="*", default=["phantom-opacity", "chest-xray"])
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one[0], Path(arguments.one[1]), arguments.model)
    from pipelines.intake.small_model import write_small_model  # brings torch

    with tempfile.TemporaryDirectory() as temporary:
        model = arguments.model or write_small_model(Path(temporary) / "model")
        rows: list[list[str]] = []
        shares: list[list[str]] = []
        for number, kind in enumerate(KINDS):
            path = Path(temporary) / f"throughput-{number}"
            folder = write_studies(path, max(1, int(arguments.studies * kind.share)), kind)
            rows += throughput(folder, model, arguments, kind.name)
            shares += parts.table(folder, model, kind.name, () if shares else arguments.networks)
    page = write_page(rows, shares, arguments)
    print(page.read_text())


def write_page(rows: list[list[str]], shares: list[list[str]], given: argparse.Namespace) -> Path:
    """Write what was measured; returns the page."""
    repeats = "One run each." if given.repeats == 1 else f"Medians of {given.repeats} repeats."
    tables = [
        Table("Throughput", THROUGHPUT, rows, f"{repeats} {CHAIN}"),
        Table("Parts", parts.COLUMNS, shares, parts.NOTE),
    ]
    return record(
        "intake",
        title="Throughput of classify",
        claim="Side by side on the same files: decode is pydicom's reader and decoder to stored "
        "integers, hashed the same with the SHA-256 of them, stored the integers our way, "
        "read ours to display grey levels, classify all of `medinv classify` with a small model.",
        tables=tables,
        made={
            "command": f"python -m pipelines.intake.run --studies {given.studies} --repeats "
            f"{given.repeats} --what {' '.join(given.what)}",
            "cores": ways.CORES,
        },
    )


def one(what: str, folder: Path, model: Path) -> dict:
    command = [
        sys.executable,
        "-m",
        "pipelines.intake.run",
        "--one",
        what,
        str(folder),
        "--model",
        str(model),
    ]
    return json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )


def throughput(folder: Path, model: Path, given: argparse.Namespace, label: str) -> list[list[str]]:
    """Lines of the first table, medians over runs that were made in turn."""
    runs = [
        {what: one(what, folder, model) for what in given.what if what != "monai" or not k}
        for k in range(given.repeats)
    ]
    lines = []
    for what in given.what:
        mine = [run for run in runs if what in run]
        rate = statistics.median(run[what]["images"] / run[what]["seconds"] for run in mine)
        of = [
            statistics.median(run[base]["seconds"] / run[what]["seconds"] for run in mine)
            if base in given.what
            else None
            for base in ("decode", "decode on all cores")
        ]
        free = [
            statistics.median(free_cores(run, what, base, chain=chain) for run in mine)
            for base, chain in (("decode", False), ("decode", True), ("hashed", False))
        ]
        shares = [
            "-" if share is None or share != share else f"{share:.2f}" for share in (*of, *free)
        ]
        used = [
            statistics.median(1000 * run[what][who] / run[what]["images"] for run in mine)
            for who in ("own", "others")
        ]
        lines.append([f"{label}, {what}", f"{rate:.0f}", *shares, *(f"{ms:.2f}" for ms in used)])
        print(" | ".join(lines[-1]), flush=True)
    return lines


def free_cores(run: dict[str, dict], what: str, base: str, *, chain: bool) -> float:
    """The share of the rate of `base`, by processor time, where each process has a core to itself,
    or each of its threads unless they count as a `chain`.

    `classify` first makes its index, then waits for the slowest of its processes: its own, or its
    readers. NaN for other ways on all cores, and where a part was not measured.
    """
    readers = READERS.get(what)
    if base not in run or (readers is None and "all cores" in what):
        return math.nan
    mine = run[what]["busier" if what == "reader" and not chain else "own"] / run[what]["images"]
    if readers is not None:
        if not {"index", "reader"} <= set(run):
            return math.nan
        first = run["index"]["own"] / run["index"]["images"]
        busier = 1.0 if chain else run["reader"]["busier"] / run["reader"]["own"]
        theirs = busier * run[what]["others"] / run[what]["images"] / readers
        mine = first + max(mine - first, theirs)
    return run[base]["own"] / run[base]["images"] / mine


if __name__ == "__main__":
    main()
