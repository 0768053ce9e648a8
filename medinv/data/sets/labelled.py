"""Labelled images in memory, split by patient."""

import hashlib
from dataclasses import dataclass

import numpy as np

from medinv.errors import DataError


@dataclass(frozen=True)
class Part:
    """One part of a data set: images (N, 1, H, W) uint8 grey levels, labels (N,) int64, patients (N,) int64."""

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LabelledImages:
    """Training, validation and test images of disjoint patients. Raises DataError where a patient stands in two parts."""

    train: Part
    validation: Part
    test: Part

    def __post_init__(self) -> None:
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        for first, second in (
            ("training", "validation"),
            ("training", "test"),
            ("validation", "test"),
        ):
            shared = np.intersect1d(parts[first].patients, parts[second].patients)
            if len(shared):
                raise DataError(
                    f"the split must be by patient; {len(shared)} patients stand in {first} and {second} images",
                    stage="split",
                )

    def sha256(self) -> str:
        """Hash of every image, label and split, in order."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for array in (part.images, part.labels, part.patients):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
