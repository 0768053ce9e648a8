"""Images that a chest radiograph model should not label: what its scope is measured on."""

import os
from pathlib import Path

import numpy as np

from medinv.data.sets.labelled import Part

MEDNIST = "mednist_12k_64.npz"


def foreign_images(
    test: Part, path_variable: str | None, *, each: int = 100
) -> dict[str, np.ndarray]:
    """Images (N, 1, 64, 64) uint8 by kind: spoilt copies of test images, noise, and, where the data folder holds it, MedNIST."""
    size = test.images.shape[-1]
    some = test.images[:each]
    noise = np.random.default_rng(0).integers(0, 256, (each, 1, size, size), dtype=np.uint8)
    kinds = {
        "uniform noise": noise,
        "upside down": some[:, :, ::-1].copy(),
        "quarter turn": np.rot90(some, 1, (2, 3)).copy(),
        "inverted grey levels": 255 - some,
    }
    path = Path(os.environ.get(path_variable or "", "")) / MEDNIST
    if path_variable and path.is_file() and size == 64:
        with np.load(path) as archive:
            x, y, classes = archive["x"], archive["y"], archive["classes"]
        kinds |= {f"MedNIST {name}": x[y == k][:each, None] for k, name in enumerate(classes)}
    return kinds
