"""Thousands of damaged files through `medinv classify`: does it crash, hang or lose one?

    python -m pipelines.intake.damage [--files 10000] [--seed 0] [--model DIR]

Takes the small files that pydicom ships, each under UIDs of its own, damages every copy in one to
three ways (cut off, bits flipped, lengths and sizes replaced, pieces left out, doubled or zeroed),
classifies the folder with the small model and checks that every file has one fate. Prints what
became of them. The same seed damages the same way.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom

from pipelines.intake.small_model import write_small_model
from pipelines.record import Table, record

LARGEST = 40_000  # bytes of a file to be damaged
STUDY, SERIES, IMAGE = (f"1.2.826.0.1.3680043.10.{kind}.9999999" for kind in (1, 2, 3))


def seeds() -> list[bytes]:
    """The small files that pydicom ships, in a study of their own where that can be written."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return [
        _placed(path.read_bytes())
        for path in sorted(folder.rglob("*.dcm"))
        if path.stat().st_size <= LARGEST
    ]


def _placed(data: bytes) -> bytes:
    try:
        with warnings.catch_warnings(action="ignore"):
            dataset, stream = pydicom.dcmread(io.BytesIO(data), force=True), io.BytesIO()
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
                STUDY,
                SERIES,
                IMAGE,
            )
            dataset.file_meta.MediaStorageSOPInstanceUID = IMAGE
            dataset.save_as(stream)
        return stream.getvalue()
    except Exception:  # damaged already: taken as it is
        return data


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_header(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 16))):
        data[chance.randrange(min(len(data), 2000))] ^= 1 << chance.randrange(8)


def wrong_length(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at : at + 4] = chance.choice(
        (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", chance.randbytes(4))
    )


def wrong_size(data: bytearray, chance: random.Random) -> None:
    """Rows, columns, bits, samples or frames."""
    tag = chance.choice(
        (
            b"\x28\0\x10\0",
            b"\x28\0\x11\0",
            b"\x28\0\0\1",
            b"\x28\0\1\1",
            b"\x28\0\2\1",
            b"\x28\0\2\0",
            b"\x28\0\x08\0",
        )
    )
    at = data.find(tag)
    if at >= 0:
        data[at + 8 : at + 10] = chance.choice(
            (b"\xff\xff", b"\0\0", b"\1\0", b"\x40\x9c", chance.randbytes(2))
        )


def leave_out(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice((1, 2, 7, 100, 1000))]


def double(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.choice((1, 8, 500))]


def zero(data: bytearray, chance: random.Random) -> None:
    at, length = chance.randrange(len(data)), chance.choice((4, 64, 2000))
    data[at : at + length] = bytes(len(data[at : at + length]))


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    cut,
    flip,
    flip_header,
    wrong_length,
    wrong_size,
    leave_out,
    double,
    zero,
)


def damaged(files: int, seed: int) -> Iterator[bytes]:
    """Damaged copies, each in a study of its own unless its UIDs were hit."""
    chance, whole = random.Random(seed), seeds()
    for number in range(files):
        data = bytearray(chance.choice(whole).replace(b".9999999", b".%07d" % number))
        for damage in chance.sample(DAMAGE, chance.randint(1, 3)):
            if data:
                damage(data, chance)
        yield bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "files", Path(temporary) / "out"
        folder.mkdir()
        for number, data in enumerate(damaged(arguments.files, arguments.seed)):
            (folder / f"{number:05d}.dcm").write_bytes(data)
        model = arguments.model or write_small_model(Path(temporary) / "model")
        command = [
            sys.executable,
            "-m",
            "medinv",
            "classify",
            str(folder),
            "--model",
            str(model),
        ]
        start = time.monotonic()
        done = subprocess.run(
            [*command, "--out", str(out), "--timeout", "20", "--memory", "2"],
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - start
        if not (out / "run.json").is_file():
            sys.exit(f"classify ended with {done.returncode} and no results:\n{done.stderr}")
        rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
        counts = json.loads((out / "run.json").read_text())["counts"]
    fates = [
        ("classified", path)
        for row in rows
        for path in {image["path"] for image in row["instances"]}
    ]
    fates += [
        (item["code"], item["source"]) for row in rows for item in (*row["skipped"], *row["broken"])
    ]
    once = len(fates) == len({path for _, path in fates}) == arguments.files == counts["files"]
    verdict = "yes" if once and done.returncode == 1 else "NO"
    rows = [(fate, str(n)) for fate, n in Counter(fate for fate, _ in fates).most_common()]
    page = record(
        "intake-damage",
        title="Damaged files through classify",
        claim=f"{arguments.files} damaged files; every file has one fate: {verdict}.",
        tables=[Table("What became of them", ("fate", "files"), rows)],
        made={
            "command": "python -m pipelines.intake.damage " + " ".join(sys.argv[1:]),
            "seed": arguments.seed,
            "seconds": round(seconds),
            "exit code": done.returncode,
        },
    )
    print(page.read_text())
    if verdict == "NO":
        sys.exit(done.stderr[-2000:] or "a file has no fate, or several")


if __name__ == "__main__":
    main()
