"""Paediatric chest radiographs, normal or pneumonia (Kermany et al., Cell 2018.

CC BY 4.0), from an npz archive with a patient-disjoint split.
"""

import numpy as np
import torch
from torch.nn import functional as F

from medinv.config import ChestXrayData
from medinv.data.sets.labelled import RESIZED, DataSet, LabelledImages, Part, data_folder
from medinv.errors import MissingDataError

FILE = "kermany_cxr_112.npz"


def load_chest_xray(path_variable: str, size: int) -> LabelledImages:
    """The archive `kermany_cxr_112.npz` in the folder that the environment variable names.

    Reduced to `size` x `size` by area averages. The archive holds x (N, 112, 112) uint8, y (N,) 0
    normal or 1 pneumonia, split (N,) 0 train, 1 validation, 2 test, and patient (N,). Raises
    MissingDataError where the variable or the file is not there.
    """
    path = data_folder(path_variable, FILE) / FILE
    if not path.is_file():
        raise MissingDataError(
            f"no such file; {path_variable} must name the folder that holds {FILE}", path=path
        )
    with np.load(path) as archive:
        x, y, split, patient = (archive[key] for key in ("x", "y", "split", "patient"))
    images = (
        F.interpolate(torch.from_numpy(x)[:, None].float(), size=(size, size), mode="area")
        .round()
        .to(torch.uint8)
        .numpy()
    )
    parts = [
        Part(
            images[split == s], y[split == s].astype(np.int64), patient[split == s].astype(np.int64)
        )
        for s in (0, 1, 2)
    ]
    return LabelledImages(*parts)


CHEST_XRAY = DataSet(
    ChestXrayData,
    lambda settings, progress: load_chest_xray(settings.path_variable, settings.size),
    intake=RESIZED,
    origin={"chest-xray": f"{FILE}, from the films of Kermany et al. 2018 (CC BY 4.0)"},
    files={"chest-xray": (FILE,)},
)
