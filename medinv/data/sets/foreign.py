"""Images that a model should not label: what its scope is measured on."""

import os
from pathlib import Path

import numpy as np

from medinv.data.resize import resize
from medinv.data.sets.labelled import Part

MEDNIST = "mednist_12k_64.npz"


def foreign_images(
    test: Part, path_variable: str = "MEDINV_DATA", *, each: int = 100
) -> dict[str, np.ndarray]:
    """Images (N, C, *size) of the type of `test` by kind, each as many as `each`.

    Spoilt copies of test images, noise, and, where the folder of outside data holds it and the
    model takes images, not volumes, MedNIST, resized as any image that a model is given.
    """
    some = test.images[:each]
    shape, bits = (each, *some.shape[1:]), 8 * some.dtype.itemsize
    kinds = {
        "uniform noise": np.random.default_rng(0).integers(0, 2**bits, shape, dtype=some.dtype),
        "upside down": some[:, :, ::-1].copy(),
        "inverted grey levels": np.iinfo(some.dtype).max - some,
    }
    if shape[-1] == shape[-2]:
        kinds["quarter turn"] = np.rot90(some, 1, (-2, -1)).copy()
    path = Path(os.environ.get(path_variable, "")) / MEDNIST
    if path.is_file() and len(shape) == 4:
        with np.load(path) as archive:
            x, y, classes = archive["x"], archive["y"], archive["classes"]
        for k, name in enumerate(classes):
            chosen = [resize(image, shape[2:]) for image in x[y == k][:each]]
            grey = np.stack(chosen).astype(some.dtype) * (np.iinfo(some.dtype).max // 255)
            kinds[f"MedNIST {name}"] = np.repeat(grey, shape[1], axis=1)
    return kinds
