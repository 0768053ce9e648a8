"""Paediatric chest radiographs, normal or pneumonia (Kermany et al., Cell 2018; CC BY 4.0).

The split is patient-disjoint. Up to 112 x 112 pixels the films come from an npz archive, above from
the films of 224 x 224 as they were published; both hold the same films in the same order.
"""

import csv
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from medinv.config import ChestXrayData
from medinv.data.resize import resize
from medinv.data.sets.labelled import RESIZED, DataSet, LabelledImages, Part
from medinv.errors import MissingDataError

FILE, SIDE = "kermany_cxr_112.npz", 112
FOLDER, LABELS = "kermany_cxr_224", "labels.csv"
SPLITS = ("training", "validation", "test")


def load_chest_xray(path_variable: str, size: int) -> LabelledImages:
    """The films in the folder that the environment variable names, reduced to `size` x `size` by
    area averages.

    `kermany_cxr_112.npz` holds x (N, 112, 112) uint8, y (N,) 0 normal or 1 pneumonia, split (N,) 0
    train, 1 validation, 2 test, and patient (N,); `kermany_cxr_224/labels.csv` names path, label,
    patient and split of each film. Raises MissingDataError where the variable or what it should
    name is not there.
    """
    wanted = FILE if size <= SIDE else f"{FOLDER}/{LABELS}"
    path = Path(os.environ.get(path_variable) or "") / wanted
    if not path.is_file():
        raise MissingDataError(
            f"no such file; {path_variable} must name the folder that holds {wanted}", path=path
        )
    images, y, split, patient = (_archive if size <= SIDE else _films)(path, size)
    parts = [Part(images[split == s], y[split == s], patient[split == s]) for s in (0, 1, 2)]
    return LabelledImages(*parts)


Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _archive(path: Path, size: int) -> Columns:
    with np.load(path) as archive:
        x, y, split, patient = (archive[key] for key in ("x", "y", "split", "patient"))
    reduced = F.interpolate(torch.from_numpy(x)[:, None].float(), size=(size, size), mode="area")
    images = reduced.round().to(torch.uint8).numpy()
    return images, y.astype(np.int64), split, patient.astype(np.int64)


def _films(path: Path, size: int) -> Columns:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.empty((len(rows), 1, size, size), np.uint8)
    for image, row in zip(images, rows, strict=True):
        with Image.open(path.parent / row["path"]) as film:
            image[:] = resize(np.asarray(film.convert("L")), size)
    labels = np.array([row["label"] == "pneumonia" for row in rows], np.int64)
    split = np.array([SPLITS.index(row["split"]) for row in rows])
    patients = np.unique([row["patient"] for row in rows], return_inverse=True)[1]
    return images, labels, split, patients.astype(np.int64)


CHEST_XRAY = DataSet(
    ChestXrayData,
    lambda settings, progress: load_chest_xray(settings.path_variable, settings.size),
    intake=RESIZED,
    region="lungs",
)
