"""Films of adults. Real lesions that others drew: films of NIH ChestX-ray14 with boxes, and films
from the web with masks by radiologists; no training saw them or their masks. And the test part of
other films of NIH ChestX-ray14, with labels mined from reports.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from medinv.data.resize import resize
from pipelines.sets.inputs import data

BOXED = ("Pneumonia", "Infiltrate")
DRAWN = ("ground_glass", "consolidation")


@dataclass(frozen=True)
class Lesions:
    """Films (N, 1, size, size) uint8, where the lesions lie (N, size, size) bool, and patients
    (N,).
    """

    images: np.ndarray
    masks: np.ndarray
    patients: np.ndarray

    def elsewhere(self) -> np.ndarray:
        """By film the mean mask (N, size, size) of other patients' films: a map that looks at no
        image.
        """
        return np.stack([self.masks[self.patients != one].mean(0) for one in self.patients])


def boxed(size: int) -> Lesions:
    """The films with boxes of BOXED."""
    folder = data("nih_boxes_512")
    rows = [row for row in rows_of(folder / "boxes.csv") if row["label"] in BOXED]
    films: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}
    for row in rows:
        image = np.asarray(Image.open(folder / row["path"]).convert("L"))
        mask = films[row["path"]][1] if row["path"] in films else np.zeros(image.shape, np.uint8)
        left, top, width, height = (float(row[key]) for key in ("left", "top", "width", "height"))
        mask[round(top) : round(top + height), round(left) : round(left + width)] = 255
        films[row["path"]] = image, mask, row["patient"]
    return _lesions(list(films.values()), size)


def drawn(size: int) -> Lesions:
    """The films with masks of DRAWN; a few films of one patient count as films."""
    folder = data("covid_cxr_masks_384")
    found = []
    for row in rows_of(folder / "labels.csv"):
        masks = [
            np.asarray(Image.open(folder / row[key]).convert("L")) for key in DRAWN if row[key]
        ]
        image = np.asarray(Image.open(folder / row["path"]).convert("L"))
        found.append((image, 255 * (np.max(masks, 0) > 0).astype(np.uint8), row["patient"]))
    return _lesions(found, size)


@dataclass(frozen=True)
class Adults:
    """Films (N, 1, size, size) uint8, labels (N,), 1 for disease, views and patients (N,)."""

    images: np.ndarray
    labels: np.ndarray
    views: np.ndarray
    patients: np.ndarray


def adults(
    size: int, labels: Path | None = None, column: str = "label", positive: str = "pneumonia"
) -> Adults:
    """The test films of nih_cxr_256 by a column of its labels, as reports have them, or of other
    `labels` for the same films; films of which the column says nothing are left out.
    """
    folder = data("nih_cxr_256")
    rows = rows_of(labels or folder / "labels.csv")
    rows = [row for row in rows if row["split"] == "test" and row[column]]
    films = [np.asarray(Image.open(folder / row["path"]).convert("L")) for row in rows]
    return Adults(
        np.stack([resize(film, size) for film in films]),
        np.array([row[column] == positive for row in rows]).astype(int),
        np.array([row["view"] for row in rows]),
        np.array([row["patient"] for row in rows]),
    )


def _lesions(found: list[tuple[np.ndarray, np.ndarray, str]], size: int) -> Lesions:
    images = np.stack([resize(image, size) for image, _, _ in found])
    masks = np.stack([resize(mask, size)[0] > 127 for _, mask, _ in found])
    return Lesions(images, masks, np.array([patient for _, _, patient in found]))


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
