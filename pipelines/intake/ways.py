"""The ways of the intake benchmark: each makes ready what is not to be timed, and returns what is,
which returns the number of images.
"""

import hashlib
import multiprocessing
import os
import pickle
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pydicom.pixels

CORES = os.cpu_count() or 1
SIZE, BATCH = 64, 32
Way = Callable[[], int]


def decode(folder: Path, *, hashed: bool = False) -> Way:
    """pydicom's dcmread and decoder, to stored integers, and their hash if that is asked for."""
    paths = sorted(folder.iterdir())
    decode_files(paths[:1])  # brings the decoder
    return lambda: decode_files(paths, hashed=hashed)


def decode_files(paths: list[Path], *, hashed: bool = False) -> int:
    for path in paths:
        dataset = pydicom.dcmread(path)
        syntax = dataset.file_meta.TransferSyntaxUID
        plugin = "pylibjpeg" if syntax.is_compressed else ""
        pixels, _ = pydicom.pixels.get_decoder(syntax).as_array(
            dataset, raw=True, view_only=True, decoding_plugin=plugin
        )
        if hashed:
            hashlib.sha256(pixels.data).hexdigest()
    return len(paths)


def decode_on_all_cores(folder: Path) -> Way:
    paths = sorted(folder.iterdir())
    decode_files(paths[:1])

    def go() -> int:
        with multiprocessing.get_context("fork").Pool(CORES) as pool:
            done = sum(pool.map(decode_files, [paths[k::CORES] for k in range(CORES)], chunksize=1))
            pool.close()
            pool.join()  # so that its processor time is counted
        return done

    return go


def read(folder: Path, what: str) -> Way:
    """Our own way, to `stored` integers or `display` grey levels."""
    from medinv.data.dicom.index import index
    from medinv.data.dicom.pixels import read_pixels

    instances = list(index([folder]).instances)
    getattr(read_pixels(instances[0]), what)
    return lambda: sum(getattr(read_pixels(instance), what).ndim == 2 for instance in instances)


def reader(folder: Path, model: Path) -> Way:
    """What a reading process does with every file: to the network's input, hashed, and packed."""
    from medinv.data.dicom.index import index
    from medinv.data.frame import InputSpec
    from medinv.data.intake import ReadRequest, read_frames
    from medinv.models.shelf import read_card

    spec = InputSpec.of(read_card(str(model)).config.image_shape)
    instances = list(index([folder]).instances)

    def go() -> int:
        images = 0
        for instance in instances:
            for frame in read_frames(instance, ReadRequest((instance,), (spec,))):
                pickle.dumps(frame)
                images += 1
        return images

    next(read_frames(instances[0], ReadRequest((instances[0],), (spec,))))
    return go


def indexed(folder: Path) -> Way:
    """All headers, as `classify` begins."""
    from medinv.data.dicom.index import index

    return lambda: index([folder]).counts()["instances"]


def classify(folder: Path, model: Path, count: int) -> Way:
    import numpy as np
    import pyarrow.parquet  # noqa: F401 - as a run does at its end
    import torch

    from medinv.analysis.infer import predict
    from medinv.batch.options import Options
    from medinv.batch.run import run
    from medinv.batch.workers import Reader
    from medinv.data.dicom.index import index
    from medinv.models.store import load

    torch.set_num_threads(1)
    loaded, readers = load(model), [Reader() for _ in range(count)]
    predict(loaded, [np.zeros(loaded.image_shape, np.uint8)])  # which finds out the precision
    for reader in readers:
        reader.ready()

    def go() -> int:
        with tempfile.TemporaryDirectory() as out:
            options = Options(Path(out), readers=count)
            return run(index([folder]), [loaded], options, readers=readers).counts["images"]

    return go


def others() -> float:
    """Processor seconds of the processes that this one has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in children]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / 100 + sum(ended[:2])


def monai(folder: Path) -> Way:
    import torch
    from monai.data import DataLoader, Dataset
    from monai.networks.nets import DenseNet121
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize, ScaleIntensity

    loading = Compose(
        [
            LoadImage(image_only=True, reader="PydicomReader"),
            EnsureChannelFirst(),
            ScaleIntensity(),
            Resize((SIZE, SIZE)),
        ]
    )
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=2).eval()

    @torch.inference_mode()
    def go() -> int:
        batches = DataLoader(
            Dataset(sorted(map(str, folder.iterdir())), loading), batch_size=BATCH, num_workers=1
        )
        return sum(len(network(batch.as_tensor())) for batch in batches)

    return go
