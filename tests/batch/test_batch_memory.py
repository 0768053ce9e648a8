"""What reading an image is said to need, by its header, is what it takes: never less,
and not many times more.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from medinv.batch.pool import needed
from medinv.data.dicom.index import index

# Bytes that a process of its own takes for reading an image, beyond what it takes idle.
READ = """
import json, sys
from pathlib import Path
from medinv.batch import reader
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest
from medinv.data.dicom.index import index

def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

class Sink:
    def send(self, film): pass

path, lossless = Path(sys.argv[1]), sys.argv[2] == "lossless"
(instance,) = index([path]).instances
import pyarrow  # stays once the first large image was read
if lossless:
    import medinv.data.lossless
before = most()
done = reader._read(instance, ReadRequest((instance,), (InputSpec(1, (64, 64)),), lossless), Sink())
print(json.dumps([most() - before, done.error is None]))
"""


def _write(path: Path, kind: str) -> Path:
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    frames, rows = (60, 512) if kind.startswith("frames") else (1, 2048)
    image = np.add.outer(np.arange(rows), np.arange(rows)) % 3000 + np.random.default_rng(
        0
    ).integers(0, 500, (rows, rows))
    (
        dataset.Rows,
        dataset.Columns,
        dataset.PixelRepresentation,
        dataset.BitsStored,
        dataset.HighBit,
    ) = rows, rows, 0, 12, 11
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = image.astype(np.uint16).tobytes() * frames
    if kind == "jpeg2000":
        dataset.compress(JPEG2000Lossless)
    dataset.save_as(path, enforce_file_format=True)
    if not kind.endswith("zip"):
        return path
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return path.with_suffix(".zip")


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
@pytest.mark.parametrize(
    "kind, intake",
    [
        ("native", "resize"),
        ("jpeg2000", "resize"),
        ("native zip", "resize"),
        ("frames native", "resize"),
        ("jpeg2000", "lossless"),
    ],
)
def test_no_image_takes_more_than_was_said(tmp_path, kind, intake) -> None:
    path = _write(tmp_path / "x.dcm", kind)
    (instance,) = index([path]).instances
    said = subprocess.run(
        [sys.executable, "-c", READ, str(path), intake], capture_output=True, text=True, check=True
    ).stdout
    taken, whole = json.loads(said)
    assert whole and taken <= needed(instance, 64 if intake == "lossless" else 0) <= 5 * taken
