"""What a thousand studies cost the processors, with and without reports.

    python -m pipelines.intake.cost [--model phantom-opacity] [--studies 4 24]

`medinv classify` runs over so many studies of one sample radiograph, each under UIDs of its own,
with one reading process and one thread; processor seconds are of the command and its reading
processes, so that other work on the machine does not count. The difference of the two runs is what
a study costs, and what is left of the smaller is the start; rows alone are soon made and take ten
times as many. Writes pipelines/results/intake-cost.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pydicom

from pipelines.record import Table, record

SAMPLE = Path(__file__).parents[2] / "sample_data" / "studies" / "study-03" / "radiograph.dcm"
WAYS: dict[str, tuple[tuple[str, ...], int]] = {  # words, and times as many studies
    "rows alone": ((), 10),
    "with reports": (("--report",), 1),
    "with DICOM results": (("--dicom",), 1),
}
COLUMNS = ("what", "start, s", "a study, s", "1,000 studies, s")


def write_studies(folder: Path, studies: int) -> None:
    """The sample under UIDs and a patient of its own for each study."""
    dataset = pydicom.dcmread(SAMPLE)
    dataset.PatientAge, dataset.ViewPosition = "005Y", "AP"  # which every shipped model takes
    for study in range(studies):
        dataset.PatientID = dataset.PatientName = f"PATIENT-{study}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{study}", f"1.2.3.{study}.1"
        dataset.SOPInstanceUID = f"1.2.3.{study}.1.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"{study:05d}.dcm")


def spent(studies: int, model: str, words: tuple[str, ...]) -> float:
    """Processor seconds of one run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "in"
        folder.mkdir()
        write_studies(folder, studies)
        out = ("--out", str(Path(temporary) / "out"), "--readers", "1")
        line = [sys.executable, "-m", "medinv", "classify", str(folder), "--model", model, *out]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*line, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2])


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="phantom-opacity")
    parser.add_argument("--studies", type=int, nargs=2, default=(4, 24))
    given = parser.parse_args()
    rows = []
    for name, (words, times) in WAYS.items():
        few, many = (times * studies for studies in given.studies)
        small, large = (spent(count, given.model, words) for count in (few, many))
        each = (large - small) / (many - few)
        start = small - few * each
        rows.append([name, f"{start:.1f}", f"{each:.3f}", f"{start + 1000 * each:.0f}"])
        print(" | ".join(rows[-1]), flush=True)
    record(
        "intake-cost",
        title="What a thousand studies cost",
        claim=f"Processor seconds of `medinv classify --model {given.model}` over studies of one "
        "radiograph of 512 x 512 pixels.",
        tables=[Table("Cost", COLUMNS, rows)],
        made={"command": "python -m pipelines.intake.cost " + " ".join(sys.argv[1:])},
    )


if __name__ == "__main__":
    main()
