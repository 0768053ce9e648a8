"""CIFAR-10 (Krizhevsky 2009): small colour images of ten kinds of things.

There are 60,000 images 32 x 32, read from the standard archive or an npz.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np

from medinv.config import Cifar10Data
from medinv.data.sets.labelled import DataSet, LabelledImages, Part, data_folder
from medinv.errors import DataError, MissingDataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER, NPZ = "cifar-10-batches-py", "cifar10.npz"
MD5 = {  # of the files in the published cifar-10-python.tar.gz
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
VALIDATION = 5000  # training images held out, the same ones always


def load_cifar10(path_variable: str) -> LabelledImages:
    """CIFAR-10 below the folder that the environment variable names.

    There are 45,000 / 5,000 / 10,000 images (N, 3, 32, 32) uint8. Reads `cifar-10-batches-py/`
    (each file is checked by its published MD5 before it is unpickled) or `cifar10.npz` (x_train,
    y_train, x_test, y_test; N, 32, 32, 3). The last 5,000 of a fixed permutation of the training
    images validate. Every image is its own patient. Raises MissingDataError where neither stands
    there and DataError where a file is not the published one.
    """
    folder = data_folder(path_variable, f"{FOLDER}/ or {NPZ}")
    if (folder / FOLDER).is_dir():
        x_train, y_train, x_test, y_test = _batches(folder / FOLDER)
    elif (folder / NPZ).is_file():
        with np.load(folder / NPZ) as archive:
            x_train, y_train, x_test, y_test = (
                archive[key] for key in ("x_train", "y_train", "x_test", "y_test")
            )
        x_train, x_test = (np.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in (x_train, x_test))
    else:
        raise MissingDataError(
            f"neither {FOLDER}/ nor {NPZ} is here; see `medinv data benchmarks`", path=folder
        )
    order = np.random.default_rng(0).permutation(len(x_train))
    kept, held = np.sort(order[:-VALIDATION]), np.sort(order[-VALIDATION:])
    train, validation = (
        Part(x_train[rows], y_train[rows].astype(np.int64), rows) for rows in (kept, held)
    )
    return LabelledImages(
        train,
        validation,
        Part(x_test, y_test.astype(np.int64), len(x_train) + np.arange(len(x_test))),
    )


def _batches(folder: Path) -> tuple[np.ndarray, ...]:
    training = [_batch(folder / name) for name in MD5 if name.startswith("data")]
    test = _batch(folder / "test_batch")
    return np.concatenate([x for x, _ in training]), np.concatenate([y for _, y in training]), *test


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (10000, 3, 32, 32) and labels of one pickle.

    The pickle is only opened if its bytes are the published ones.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingDataError(
            f"cannot be read: {error.strerror}; see `medinv data benchmarks`", path=path
        ) from error
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MD5[path.name]:
        raise DataError(
            f"expected the published file with MD5 {MD5[path.name]}, got {digest}; "
            "fetch the archive again",
            path=path,
        )
    batch = pickle.loads(content, encoding="bytes")
    return batch[b"data"].reshape(-1, 3, 32, 32), np.array(batch[b"labels"])


CIFAR10 = DataSet(
    Cifar10Data,
    lambda settings, progress: load_cifar10(settings.path_variable),
    origin={
        "cifar10": "cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, "
        f"unpacked to {FOLDER}/; or {NPZ} (x_train, y_train, ...)"
    },
    files={"cifar10": (FOLDER, NPZ)},
)
