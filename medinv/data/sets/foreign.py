"""Images that a chest radiograph model should not label: what its scope is measured on."""

import os
from pathlib import Path

import numpy as np

from medinv.data.resize import resize
from medinv.data.sets.labelled import Part

MEDNIST = "mednist_12k_64.npz"


def foreign_images(
    test: Part, path_variable: str = "MEDINV_DATA", *, each: int = 100
) -> dict[str, np.ndarray]:
    """Images (N, C, *size) uint8 by kind, each as many as `each`.

    Spoilt copies of test images, noise, and, where the folder of outside data holds it and the
    model takes square images in grey, MedNIST, resized as any image that a model is given.
    """
    some = test.images[:each]
    shape = (each, *some.shape[1:])
    kinds = {
        "uniform noise": np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8),
        "upside down": some[:, :, ::-1].copy(),
        "quarter turn": np.rot90(some, 1, (-2, -1)).copy(),
        "inverted grey levels": 255 - some,
    }
    path = Path(os.environ.get(path_variable, "")) / MEDNIST
    if path.is_file() and shape[1:3] == (1, shape[-1]):
        with np.load(path) as archive:
            x, y, classes = archive["x"], archive["y"], archive["classes"]
        for k, name in enumerate(classes):
            chosen = [resize(image, shape[-1]) for image in x[y == k][:each]]
            kinds[f"MedNIST {name}"] = np.stack(chosen)
    return kinds
