"""What an index of many headers costs: time against reading the same headers and nothing else,
and memory an image.

    python -m pipelines.intake.index [--files 10000] [--repeats 2]

Writes that many CT slices (the header of a real one that pydicom ships, series of 200) to
a temporary folder, reads them once so that the disk's cache is warm, and prints a table.
Each figure comes from a process of its own; times are processor seconds, user and system,
the least of the repeats.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

from medinv.config import Rules, Selection
from medinv.data.dicom.index import index
from medinv.data.dicom.rules import choose
from pipelines.record import Table, record

SERIES = 200
COLUMNS = (
    "files",
    "what",
    "seconds",
    "files a second",
    "times pydicom's headers",
    "peak memory grows by, MB",
    "bytes an image",
)


def write(folder: Path, count: int) -> None:
    """Slices of 64 x 64 pixels, a folder a series, no ending in their names."""
    slice_ = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    slice_.Rows = slice_.Columns = 64
    slice_.PixelData = slice_.PixelData[: 2 * 64 * 64]
    for k in range(count):
        series, number = divmod(k, SERIES)
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = (
            f"1.2.826.0.1.3680043.10.1.{series}",
            f"1.2.826.0.1.3680043.10.1.{series}.1",
        )
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = (
            f"{slice_.SeriesInstanceUID}.{number}"
        )
        slice_.InstanceNumber, slice_.ImagePositionPatient = number, [-158.1, -179.0, 2.5 * number]
        path = folder / f"{series:04d}" / f"{number:04d}"
        path.parent.mkdir(exist_ok=True)
        slice_.save_as(path)


def headers(paths: list[Path]) -> int:
    """The cost to compare with: pydicom reads every header and drops it."""
    return sum(pydicom.dcmread(path, stop_before_pixels=True).Rows == 64 for path in paths)


def bytes_(paths: list[Path]) -> int:
    """The files' bytes alone."""
    return sum(len(path.read_bytes()) > 0 for path in paths)


def indexed(paths: list[Path]) -> int:
    return index(paths).counts()["instances"]


def selected(paths: list[Path]) -> int:
    """Indexed, and judged by the rules of a model of volumes."""
    rules = Rules(
        modalities=("CT",),
        selection=Selection(
            takes="volume", planes=("axial",), thickness=(1, 6), not_series_description="bone"
        ),
    )
    return sum(len(choose(study, rules).study.instances) for study in index(paths).studies)


def measure(work, paths: list[Path]) -> tuple[int, float, float]:
    """Files that `work` counted, seconds, and megabytes that the process grew by at its peak."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    count = work(paths)
    return (
        count,
        time.process_time() - start,
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    wanted = arguments.files
    rows: list[tuple[str, ...]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        write(Path(folder), wanted)
        every = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        pool.apply(bytes_, (every,))
        for count in (wanted // 10, wanted):
            given = every[:count]
            found = {
                work: [pool.apply(measure, (work, given)) for _ in range(arguments.repeats)]
                for work in (bytes_, headers, indexed, selected)
            }
            reading = min(seconds for _, seconds, _ in found[headers])
            for work, runs in found.items():
                if {files for files, *_ in runs} != {count}:
                    raise SystemExit(f"{work.__name__} counted {runs[0][0]} of {count} files")
                seconds, grown = min(run[1] for run in runs), min(run[2] for run in runs)
                name = {
                    "bytes_": "bytes",
                    "headers": "pydicom, header only",
                    "indexed": "index",
                    "selected": "index and selection",
                }[work.__name__]
                each = f"{grown * 2**20 / count:.0f}" if work in (indexed, selected) else "-"
                rate, ratio = f"{count / seconds:,.0f}", f"{seconds / reading:.2f}"
                rows.append(
                    (f"{count:,}", name, f"{seconds:.2f}", rate, ratio, f"{grown:.0f}", each)
                )
                print(" | ".join(rows[-1]), flush=True)
    page = record(
        "intake-index",
        title="What an index of many headers costs",
        claim="Processor time against pydicom's header reader alone, and memory an image.",
        tables=[Table("Headers", COLUMNS, rows)],
        made={"command": "python -m pipelines.intake.index " + " ".join(sys.argv[1:])},
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
