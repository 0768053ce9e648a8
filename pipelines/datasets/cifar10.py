"""CIFAR-10 as its publisher packs it, as an npz that `medinv prepare` reads.

    python -m pipelines.datasets.cifar10 FOLDER --out cifar10-split.npz

FOLDER holds `cifar-10-batches-py/`, unpacked from the cifar-10-python.tar.gz of
https://www.cs.toronto.edu/~kriz/cifar.html, or `cifar10.npz` (x_train, y_train, x_test, y_test).
Of the 50,000 training images 5,000 are set apart for validation, the same ones always. A batch is a
pickle, which could run code: it is opened only where its bytes are the published ones.
"""

import argparse
import hashlib
import pickle
from pathlib import Path

import numpy as np

FOLDER, NPZ = "cifar-10-batches-py", "cifar10.npz"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
VALIDATION = 5000


def batches(folder: Path) -> dict[str, np.ndarray]:
    """Images (N, 32, 32, 3) and labels of both parts, as the npz names them."""
    made = [batch(folder / name) for name in MD5]
    return {
        "x_train": np.concatenate([images for images, _ in made[:-1]]),
        "y_train": np.concatenate([labels for _, labels in made[:-1]]),
        "x_test": made[-1][0],
        "y_test": made[-1][1],
    }


def batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """One file. Raises ValueError where it is not the published one."""
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5[path.name]:
        raise ValueError(f"{path} is not the published file: fetch the archive again")
    held = pickle.loads(content, encoding="bytes")
    return held[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(held[b"labels"])


def split(arrays: dict[str, np.ndarray], validation: int = VALIDATION) -> dict[str, np.ndarray]:
    """The arrays with the last of a fixed permutation of the training images set apart."""
    order = np.random.default_rng(0).permutation(len(arrays["x_train"]))
    rows = {"train": np.sort(order[:-validation]), "val": np.sort(order[-validation:])}
    made = {
        f"{part}_{what}": arrays[f"{key}_train"][chosen]
        for part, chosen in rows.items()
        for what, key in (("images", "x"), ("labels", "y"))
    }
    return made | {"test_images": arrays["x_test"], "test_labels": arrays["y_test"]}


def main() -> None:
    """Read, split, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    packed = given.folder / FOLDER
    arrays = batches(packed) if packed.is_dir() else dict(np.load(given.folder / NPZ))
    np.savez(given.out, **split(arrays))


if __name__ == "__main__":
    main()
