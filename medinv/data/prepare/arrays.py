"""An npz of images and labels, such as those of MedMNIST."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from medinv.data.dicom.colour import luma
from medinv.data.frame import InputSpec
from medinv.data.prepare.items import Found
from medinv.data.prepare.labelled import Item, Labelled
from medinv.data.prepare.labels import part_of
from medinv.data.prepare.read import Progress, Taken, room_for
from medinv.data.resize import resize, resize_volume
from medinv.errors import DataError, MedinvError

_OFFICIAL = {"train": "training", "val": "validation", "test": "test"}
_OF_PART = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))  # as MedMNIST and as Keras name them
_IMAGES, _LABELS = ("images", "x", "X", "imgs"), ("labels", "y", "Y")
_CLASSES, _PATIENTS, _SPLITS = ("classes", "class_names"), ("patient", "patients"), ("split",)
_COLOUR = 3


@dataclass(frozen=True)
class Arrays:
    """Images (N, H, W), (N, H, W, 3) or (N, D, H, W) of an npz, and what is said of each."""

    images: np.ndarray
    labelled: Labelled

    @property
    def colour(self) -> bool:
        """Whether the last axis is of red, green and blue."""
        return self.images.ndim == 4 and self.images.shape[-1] == _COLOUR

    @property
    def size(self) -> tuple[int, ...]:
        """Of one image."""
        return self.images.shape[1:-1] if self.colour else self.images.shape[1:]

    def take(
        self, items: Sequence[Item], spec: InputSpec, scratch: Path, progress: Progress
    ) -> Taken:
        """Every image at the size and in the channels of a network's input."""
        taken = room_for(len(items), spec, scratch, self.images.dtype)
        for number, item in enumerate(items):
            try:
                image = _shaped(self.images[item.image.position], spec, colour=self.colour)
                taken.put(number, item, image)
            except MedinvError as error:
                taken.refuse(number, item, error.code, error.message)
            if number % 256 == 255 or number + 1 == len(items):
                progress(number + 1, len(items))
        return taken


def read_arrays(path: Path, names: Sequence[str] = (), bits: int = 8) -> Arrays:
    """The images of an npz with `train_images`, `train_labels`, `val_...` and `test_...`, or
    `x_train`, `y_train`, `x_test` and so on, or with x and y (or images and labels) and, if wanted,
    classes, split and patient.

    `names` are those of the classes by number. Raises DataError for an archive of something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        message = f"expected an npz of arrays ({type(error).__name__})"
        raise DataError(message, path=path) from error
    parts = _official(held)
    arrays = _joined(held, parts) if parts else _flat(held, path)
    names = names or [str(name) for name in arrays.pop("classes", ())]
    images = _images(arrays["images"], bits, path)
    labels = _labels(arrays["labels"], names, path)
    if not len(images) == len(labels) > 0:
        message = f"expected as many labels as images; got {len(labels)} and {len(images)}"
        raise DataError(message, path=path)
    split = [part_of(str(word)) for word in arrays["split"]] if "split" in arrays else None
    if split and None in split:
        raise DataError("expected the split as train, val and test, or 0, 1, 2", path=path)
    patients = list(map(str, arrays["patients"])) if "patients" in arrays else None
    items = tuple(
        Item(
            _numbered(path.stem, number),
            label,
            split[number] if split else None,
            (patients[number],) if patients else (),
        )
        for number, label in enumerate(labels)
    )
    return Arrays(images, Labelled(items, (), "the arrays of the npz", split is not None))


def _numbered(stem: str, number: int) -> Found:
    key = f"{stem}-{number}"
    return Found(key=key, shown=key, names={}, position=number)


def _official(held: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """The names of images and labels, by the part they are of."""
    return {
        part: (images.format(word), labels.format(word))
        for images, labels in _OF_PART
        for word, part in _OFFICIAL.items()
        if images.format(word) in held and labels.format(word) in held
    }


def _joined(
    held: Mapping[str, np.ndarray], parts: Mapping[str, tuple[str, str]]
) -> dict[str, np.ndarray]:
    return {
        "images": np.concatenate([held[images] for images, _ in parts.values()]),
        "labels": np.concatenate([held[labels] for _, labels in parts.values()]),
        "split": np.repeat(list(parts), [len(held[images]) for images, _ in parts.values()]),
    }


def _flat(held: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    kinds = {
        "images": _IMAGES,
        "labels": _LABELS,
        "classes": _CLASSES,
        "patients": _PATIENTS,
        "split": _SPLITS,
    }
    arrays = {kind: held[name] for kind, names in kinds.items() for name in names if name in held}
    if "images" not in arrays or "labels" not in arrays:
        raise DataError(
            "expected train_images, train_labels, val_images, ... or x and y in the npz; it holds "
            f"{', '.join(list(held)[:10]) or 'nothing'}",
            path=path,
        )
    if "split" in arrays and arrays["split"].dtype.kind in "iu":
        words = np.array(["training", "validation", "test"])
        if not set(np.unique(arrays["split"])) <= {0, 1, 2}:
            raise DataError("expected the split as 0, 1 and 2", path=path)
        arrays["split"] = words[arrays["split"]]
    return arrays


def _images(images: np.ndarray, bits: int, path: Path) -> np.ndarray:
    if images.ndim == 5 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 4 and 1 in (images.shape[1], images.shape[-1]):
        images = images[:, 0] if images.shape[1] == 1 else images[..., 0]
    if images.dtype == bool:
        images = images.astype(np.uint8) * 255
    wanted = {8: np.uint8, 16: np.uint16}[bits]
    if images.dtype != wanted or images.ndim not in (3, 4):
        raise DataError(
            f"expected images (N, H, W), (N, H, W, 3) or (N, D, H, W) of {bits} bits; got "
            f"{images.shape} {images.dtype}: make them whole grey levels, or see --bits",
            path=path,
        )
    return images


def _labels(labels: np.ndarray, names: Sequence[str], path: Path) -> list[str]:
    """One class name an image."""
    if labels.ndim > 1 and labels.size != len(labels):
        raise DataError(
            f"expected one label an image; got {labels.shape}: several findings at once are not "
            "supported yet, choose one",
            path=path,
        )
    flat = labels.reshape(-1)
    if flat.dtype.kind not in "iub" or not len(names):
        return [str(label) for label in flat]
    if len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) < len(names):
        raise DataError(
            f"labels run from {flat.min()} to {flat.max()}, but {len(names)} classes are named",
            path=path,
        )
    return [str(names[int(label)]) for label in flat]


def _shaped(image: np.ndarray, spec: InputSpec, *, colour: bool) -> np.ndarray:
    """(channels, *size) of a network's input."""
    if colour and spec.channels == 1:
        image, colour = luma(image), False
    if image.shape[: len(spec.size)] == spec.size:
        made = np.moveaxis(image, -1, 0) if colour else image[None]
    else:
        made = (resize if len(spec.size) == 2 else resize_volume)(image, spec.size)
    return np.repeat(made, spec.channels, axis=0) if len(made) < spec.channels else made
