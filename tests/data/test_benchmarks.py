"""Public benchmark sets: official splits kept, damaged files refused, what is missing is said."""

import hashlib
import pickle

import numpy as np
import pytest

from medinv.data.sets import cifar10 as natural
from medinv.data.sets.cifar10 import load_cifar10
from medinv.data.sets.medmnist import load_medmnist
from medinv.errors import DataError, MissingDataError


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Two images a file in the shape of the published archive, with the checksums to match.

    The reader expects rows of three colour planes.
    """
    folder = tmp_path / natural.FOLDER
    folder.mkdir()
    sums = {}
    for i, name in enumerate(natural.MD5):
        content = pickle.dumps(
            {
                b"data": np.full((2, 3072), 10 * i, np.uint8) + np.array([[0], [1]], np.uint8),
                b"labels": [i, i + 1],
            }
        )
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(natural, "MD5", sums)
    monkeypatch.setattr(natural, "VALIDATION", 3)
    monkeypatch.setenv("MEDINV_DATA", str(tmp_path))
    return folder


def test_the_standard_archive_is_split_once_and_for_all(cifar) -> None:
    data = load_cifar10("MEDINV_DATA")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [7, 3, 2]
    assert (
        data.train.images.shape[1:] == (3, 32, 32)
        and data.test.images[:, 0, 0, 0].tolist() == [50, 51]
        and data.test.labels.tolist() == [5, 6]
    )
    assert sorted([*data.train.patients, *data.validation.patients]) == list(range(10))
    assert load_cifar10("MEDINV_DATA").sha256() == data.sha256()


def test_a_changed_file_is_not_opened(cifar) -> None:
    (cifar / "data_batch_2").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(DataError, match="expected the published file"):
        load_cifar10("MEDINV_DATA")


def test_what_is_not_there_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEDINV_DATA", str(tmp_path))
    for load in (load_cifar10, lambda variable: load_medmnist("breastmnist", variable)):
        with pytest.raises(MissingDataError, match="medinv data benchmarks"):
            load("MEDINV_DATA")
        with pytest.raises(MissingDataError, match="NO_SUCH_VARIABLE"):
            load("NO_SUCH_VARIABLE")


def test_a_training_image_that_is_tested_too_is_left_out_of_training(tmp_path, monkeypatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)
    images[0] = images[8]
    parts = {"train": slice(0, 5), "val": slice(5, 7), "test": slice(7, 9)}
    arrays = {f"{name}_images": images[rows] for name, rows in parts.items()} | {
        f"{name}_labels": np.arange(9)[rows, None] % 2 for name, rows in parts.items()
    }
    np.savez(tmp_path / "breastmnist.npz", **arrays)
    monkeypatch.setenv("MEDINV_DATA", str(tmp_path))
    data = load_medmnist("breastmnist", "MEDINV_DATA")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [4, 2, 2]
    assert data.train.labels.tolist() == [1, 0, 1, 0] and data.test.images.shape == (2, 1, 28, 28)


@pytest.mark.parametrize(
    ("name", "counts"), [("breastmnist", (546, 78, 156)), ("adrenalmnist3d", (1188, 98, 298))]
)
def test_official_counts(data_dir, name, counts) -> None:
    data = load_medmnist(name, "MEDINV_DATA")
    assert (len(data.validation), len(data.test)) == counts[1:] and counts[0] - 10 <= len(
        data.train
    ) <= counts[0]
