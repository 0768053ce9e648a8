"""Throughput and memory of `medinv classify` against decoding alone and against a MONAI pipeline on the same files.

    MEDINV_DATA=... python pipelines/intake_benchmark.py [--studies 200] [--repeats 3] [--model DIR]

The CT slices of MEDINV_DATA (else one that pydicom ships) become studies of four under new UIDs, uncompressed and as JPEG 2000 (lossless). Every measurement
is a process of its own, timed without the start of Python; those of a repeat run in turn, and shares are taken within a repeat, so that a busy machine is
unkind to all alike; printed are medians. `decode`: pydicom and the decoder to stored integers; `read`: the same to display grey levels; `classify`: index
and run with the small model of small_model.py, one reading process beside the network; `monai`: LoadImage with PydicomReader, DataLoader with one
worker, DenseNet121 on 64 x 64. CPU seconds are of all processes.
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pydicom
from small_model import write_small_model

SLICES, SIZE, BATCH = 4, 64, 32
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def sources(most: int) -> list[bytes]:
    """Real CT slices as files."""
    archive = Path(os.environ.get("MEDINV_DATA", "")) / "dicom" / "ct_contrast100.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as members:
            return [members.read(name) for name in sorted(members.namelist()) if name.endswith(".dcm")][:most]
    return [Path(pydicom.data.get_testdata_file("CT_small.dcm", download=False)).read_bytes()]


def write_studies(folder: Path, studies: int, compressed: bool) -> Path:
    """Studies of four slices, made of the sources in turn."""
    folder.mkdir()
    slices = []
    for data in sources(8 if compressed else 40):
        dataset = pydicom.dcmread(io.BytesIO(data))
        if compressed:
            dataset.compress(pydicom.uid.JPEG2000Lossless)
        slices.append(dataset)
    for number in range(studies * SLICES):
        dataset, study = slices[number % len(slices)], number // SLICES
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{study}", f"1.2.3.{study}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{study}.1.{number}"
        dataset.save_as(folder / f"{number:05d}.dcm")
    return folder


def baseline(folder: Path, *, grey_levels: bool) -> int:
    from medinv.data.dicom.decode import decode
    from medinv.data.dicom.index import index, open_dataset
    from medinv.data.dicom.pixels import read_pixels

    instances = list(index([folder]).instances)
    restart()
    for instance in instances:
        read_pixels(instance).display if grey_levels else decode(open_dataset(instance), instance)
    return len(instances)


def classify(folder: Path, model: Path) -> int:
    from medinv.batch.options import Options
    from medinv.batch.run import run
    from medinv.data.dicom.index import index
    from medinv.models.store import load

    loaded = load(model)
    with tempfile.TemporaryDirectory() as out:
        restart()
        return run(index([folder]), [loaded], Options(Path(out), readers=1)).counts["images"]


def monai(folder: Path) -> int:
    import torch
    from monai.data import DataLoader, Dataset
    from monai.networks.nets import DenseNet121
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize, ScaleIntensity

    loading = Compose([LoadImage(image_only=True, reader="PydicomReader"), EnsureChannelFirst(), ScaleIntensity(), Resize((SIZE, SIZE))])
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=2).eval()
    restart()
    with torch.inference_mode():
        batches = DataLoader(Dataset(sorted(map(str, folder.iterdir())), loading), batch_size=BATCH, num_workers=1)
        return sum(len(network(batch.as_tensor())) for batch in batches)


def restart() -> None:
    global began, cpu
    began, cpu = time.perf_counter(), cpu_seconds()


def cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in WHO)


def measure(what: str, folder: Path, model: Path) -> None:
    """Print one measurement as JSON; memory in MB, of this process and of its largest child."""
    images = classify(folder, model) if what == "classify" else monai(folder) if what == "monai" else baseline(folder, grey_levels=what == "read")
    seconds, used = time.perf_counter() - began, cpu_seconds() - cpu
    memory = [resource.getrusage(who).ru_maxrss / 1024 for who in WHO]
    print(json.dumps({"images": images, "seconds": seconds, "cpu": used, "memory": memory[0], "child": memory[1]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200, help="for throughput")
    parser.add_argument("--memory", type=int, nargs="*", default=[50, 200, 800], help="studies for peak memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one[0], Path(arguments.one[1]), arguments.model)
    with tempfile.TemporaryDirectory() as temporary:
        model = arguments.model or write_small_model(Path(temporary) / "model")
        print("| files | what | images/s | of decode | of read | CPU ms/image |\n|---|---|---|---|---|---|", flush=True)
        for compressed in (False, True):
            folder = write_studies(Path(temporary) / f"throughput-{compressed}", arguments.studies, compressed)
            throughput(folder, model, arguments.repeats, "JPEG 2000" if compressed else "uncompressed")
        print("\n| studies | images | peak MB, classify | largest reader MB |\n|---|---|---|---|", flush=True)
        for studies in arguments.memory:
            found = one("classify", write_studies(Path(temporary) / f"memory-{studies}", studies, False), model)
            print(f"| {studies} | {found['images']} | {found['memory']:.0f} | {found['child']:.0f} |", flush=True)


def one(what: str, folder: Path, model: Path) -> dict:
    command = [sys.executable, __file__, "--one", what, str(folder), "--model", str(model)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def throughput(folder: Path, model: Path, repeats: int, label: str) -> None:
    runs = [{what: one(what, folder, model) for what in ("decode", "read", "classify", "monai")} for _ in range(repeats)]
    for what in runs[0]:
        rate = statistics.median(run[what]["images"] / run[what]["seconds"] for run in runs)
        of = [statistics.median(run[base]["seconds"] / run[what]["seconds"] for run in runs) for base in ("decode", "read")]
        used = statistics.median(1000 * run[what]["cpu"] / run[what]["images"] for run in runs)
        print(f"| {label} | {what} | {rate:.0f} | {of[0]:.2f} | {of[1]:.2f} | {used:.1f} |", flush=True)


if __name__ == "__main__":
    main()
