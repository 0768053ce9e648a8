"""MedMNIST (Yang et al., Scientific Data 2023; CC BY 4.0): small medical benchmarks.

They have official splits and are read as their npz archives.
"""

from pathlib import Path

import numpy as np

from medinv.config import MedMNISTData
from medinv.data.sets.labelled import DataSet, LabelledImages, Part, data_folder
from medinv.errors import DataError, MissingDataError

FILES = {
    "breastmnist": ("breastmnist.npz",),
    "pneumoniamnist": ("pneumoniamnist.npz", "pneumoniamnist_rebuilt.npz"),
    "adrenalmnist3d": ("adrenalmnist3d.npz",),
}
PARTS = ("train", "val", "test")


def load_medmnist(name: str, path_variable: str) -> LabelledImages:
    """A set of two classes with its official split.

    It holds images (N, 1, 28, 28) or volumes (N, 1, 28, 28, 28), uint8. The archive
    (`train_images`, `train_labels`, `val_...`, `test_...`) lies in the folder that the environment
    variable names or in its `medmnist/`. The archives name no patients: every image counts as one,
    but training images that stand in validation or test too are left out of training. Raises
    MissingDataError where no archive is there and DataError where one holds something else.
    """
    path = _find(FILES[name], path_variable)
    with np.load(path) as archive:
        missing = {f"{part}_{what}" for part in PARTS for what in ("images", "labels")} - set(
            archive
        )
        if missing:
            raise DataError(
                f"expected a MedMNIST archive; it lacks {', '.join(sorted(missing))}", path=path
            )
        arrays = [
            (
                archive[f"{part}_images"][:, None],
                archive[f"{part}_labels"].reshape(-1).astype(np.int64),
            )
            for part in PARTS
        ]
    held = {image.tobytes() for images, _ in arrays[1:] for image in images}
    fresh = np.array([image.tobytes() not in held for image in arrays[0][0]])
    arrays[0] = tuple(values[fresh] for values in arrays[0])
    starts = np.cumsum([0, *(len(labels) for _, labels in arrays)])
    return LabelledImages(
        *(
            Part(images, labels, start + np.arange(len(labels)))
            for (images, labels), start in zip(arrays, starts[:-1], strict=True)
        )
    )


def _find(names: tuple[str, ...], path_variable: str) -> Path:
    folder = data_folder(path_variable, names[0])
    for place in (folder, folder / "medmnist"):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise MissingDataError(f"no {names[0]} here; see `medinv data benchmarks`", path=folder)


MEDMNIST = DataSet(
    MedMNISTData,
    lambda settings, progress: load_medmnist(settings.set, settings.path_variable),
    origin={
        name: f"{files[0]} from https://medmnist.com (28 pixels a side; CC BY 4.0)"
        for name, files in FILES.items()
    },
    files=FILES,
)
