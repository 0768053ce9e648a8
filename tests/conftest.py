"""Fixtures that all rooms share.

One thread: figures do not depend on the cores, and the threaded LU of MKL stalls for minutes when
another process has its core.
"""

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is imported; commands that tests start inherit it

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import ExplicitVRLittleEndian

from medinv.config import Config, load_config
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import load_images
from medinv.models.density import Classifier
from medinv.models.store import load
from medinv.training.calibrate import calibrate
from medinv.training.publish import publish
from medinv.training.train import Trained, train

# A shell ignores Ctrl-C for what it starts in the background, and whatever that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of third-party data that MEDINV_DATA names.

    Tests that need it are skipped without it.
    """
    value = os.environ.get("MEDINV_DATA")
    if not value:
        pytest.skip("MEDINV_DATA is not set: it names the folder of the development data")
    if not Path(value).is_dir():
        pytest.skip("MEDINV_DATA names no folder")
    return Path(value)


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    """A 16 x 16 phantom classifier that trains in seconds."""
    return load_config(
        Path(__file__).parents[1] / "configs" / "phantom-opacity.yaml",
        (
            "name=tiny",
            "data.size=16",
            "data.counts=[48,64,64]",
            "model.depths=[1,1]",
            "model.hidden=[8,8]",
            "train.epochs=2",
            "train.batch=16",
            "train.shift=1",
        ),
    )


@pytest.fixture(scope="session")
def tiny_data(tiny_config: Config) -> LabelledImages:
    """Its images."""
    return load_images(tiny_config.data)


@pytest.fixture(scope="session")
def tiny_model(tiny_config: Config, tiny_data: LabelledImages) -> Classifier:
    """A trained and calibrated tiny classifier in float64. Not to be changed."""
    model = train(tiny_config, tiny_data).model.double()
    calibrate(model, tiny_config, tiny_data)
    return model


@pytest.fixture(scope="session")
def tiny_folder(
    tiny_model: Classifier,
    tiny_config: Config,
    tiny_data: LabelledImages,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny classifier published as a folder `tiny`, its card and reference with it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    trained = Trained(copy.deepcopy(tiny_model), (), "cpu")
    publish(folder, trained, tiny_config, tiny_data, command="medinv train tiny.yaml")
    return folder


@pytest.fixture(scope="session")
def tiny_images(tiny_data: LabelledImages) -> torch.Tensor:
    """Eight of its test images, (8, 1, 16, 16) float64."""
    return torch.from_numpy(tiny_data.test.images[:8]).double()


@pytest.fixture(scope="session")
def configs() -> Path:
    """The folder of configurations."""
    return Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample studies that come with the project."""
    return Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="session")
def phantom():
    return load("phantom-opacity")


@pytest.fixture(scope="session")
def write_film(samples) -> Callable[..., Path]:
    """Writes a sample radiograph, averaged to 64 x 64 pixels, under UIDs of its own."""
    dataset = pydicom.dcmread(samples / "studies" / "study-01" / "radiograph.dcm")
    rows, columns = (extent // 64 * 64 for extent in dataset.pixel_array.shape)
    blocks = (
        dataset.pixel_array[:rows, :columns].reshape(64, rows // 64, 64, columns // 64).mean((1, 3))
    )
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = blocks.round().astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.Rows = dataset.Columns = 64

    def write(path: Path, study: int, image: int = 1, series: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
            f"1.2.3.{study}",
            f"1.2.3.{study}.{series}",
        )
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
            f"1.2.3.{study}.{series}.{image}"
        )
        dataset.save_as(path)
        return path

    return write
