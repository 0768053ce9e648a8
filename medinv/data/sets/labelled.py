"""Labelled images in memory, split by patient, and what a source of them is."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

import numpy as np

from medinv.config import DataConfig
from medinv.errors import DataError

AS_STORED = "images of the data set as they are stored, 8 bits"
RESIZED = "lossy: display grey levels, squashed to a square by area averages, rounded to 8 bits"
DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))  # of stored values
_ROWS = 256  # that are hashed at a time
Settings = TypeVar("Settings", bound=DataConfig)
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One part of a data set.

    It holds images (N, C, *size) uint8 grey levels, which may lie memory-mapped on the disk, labels
    (N,) int64, patients (N,) int64. `columns` are what is known of each image, by name, each (N,):
    words or numbers, empty or not a number where nothing is known. `masks` (N, 1, *size) uint8 are
    255 in what the class is told by and 0 elsewhere.
    """

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LabelledImages:
    """Training, validation and test images of disjoint patients.

    Raises DataError where a patient stands in two parts.
    """

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
                    f"the split must be by patient; {len(shared)} patients stand in {first} and "
                    f"{second} images",
                    stage="split",
                )

    def check(self, image_shape: tuple[int, ...], classes: tuple[str, ...]) -> None:
        """Raise DataError unless every part has images of this shape and some of every class.

        Values are of 8 bits, or of 16 in all parts.
        """
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        if len({part.images.dtype for part in parts.values()}) > 1:
            kinds = ", ".join(str(part.images.dtype) for part in parts.values())
            raise DataError(f"expected parts of one type of number; got {kinds}", stage="train")
        for name, part in parts.items():
            if part.images.shape[1:] != image_shape or part.images.dtype not in DEPTHS:
                raise DataError(
                    f"expected {name} images of shape {image_shape} and 8 or 16 bits; got "
                    f"{part.images.shape[1:]}, {part.images.dtype}; change data.size, "
                    "model.channels or model.axes",
                    stage="train",
                )
            labels = np.unique(part.labels)
            absent = [each for k, each in enumerate(classes) if k not in labels]
            if absent or not set(labels) <= set(range(len(classes))):
                raise DataError(
                    f"expected every one of {len(classes)} classes, and no other, among the {name} "
                    f"images; absent: {', '.join(absent) or 'none'}; labels met: "
                    f"{', '.join(map(str, labels))}",
                    stage="train",
                )

    def relabelled(self, classes: Sequence[str], wanted: Sequence[str]) -> "LabelledImages":
        """The same with label numbers in the order of `wanted`, classes matched by name.

        Raises DataError where a class is left over on either side.
        """
        if set(classes) != set(wanted):
            raise DataError(
                f"classes differ: the set has {', '.join(classes)}; the model tells "
                f"{', '.join(wanted)}",
                stage="classes",
            )
        numbers = np.array([wanted.index(name) for name in classes])
        return LabelledImages(
            *(
                replace(part, labels=numbers[part.labels])
                for part in (self.train, self.validation, self.test)
            )
        )

    def sha256(self) -> str:
        """Hash of every image, label and split, in order."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for array in (part.images, part.labels, part.patients):
                for start in range(0, len(array), _ROWS):  # images may lie on the disk
                    digest.update(np.ascontiguousarray(array[start : start + _ROWS]).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Provenance:
    """Where the images of a set come from, and the command that made it; empty where not known."""

    source: str = ""
    command: str = ""
    intake: str = ""  # what became of an image before it was stored
    classes: tuple[str, ...] = ()  # in the order of label numbers


@dataclass(frozen=True)
class DataSet(Generic[Settings]):
    """A source of labelled images: its settings, and how they become images.

    `load` is called with the settings and with what takes a word on long work. `intake` says on the
    card what becomes of an image before the network sees it. `provenance` is
    what a set says of itself. `region` names what should decide where the images are frontal films
    of the chest: their lungs can be estimated.
    """

    config: type[Settings]
    load: Callable[[Settings, Progress], LabelledImages]
    intake: str = AS_STORED
    provenance: Callable[[Settings], Provenance] = lambda settings: Provenance()
    region: Literal["", "lungs"] = ""
