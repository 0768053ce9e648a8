"""MONAI pipelines from a decoded image to the network."""

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Lambda, Resize, Transform
from monai.utils import SpaceKeys

from medinv.data.dicom.geometry import affine
from medinv.data.dicom.pixels import Pixels
from medinv.data.dicom.records import Instance
from medinv.errors import ShapeError


def as_metatensor(pixels: Pixels, instance: Instance) -> MetaTensor:
    """Display grey levels as a MetaTensor (1, H, W) uint8 with an affine (4, 4)
    from (row, column, slice) to mm, axes R A S.

    `meta` records how the grey levels came about; it names no patient.
    """
    meta = {
        "source": instance.source,
        "sop_uid": instance.sop_uid,
        "series_uid": instance.series_uid,
        "study_uid": instance.study_uid,
        "modality": instance.modality,
        "policy": pixels.policy,
        "lossy": pixels.lossy,
        "frame": pixels.frame,
        "stored_sha256": pixels.sha256,
        "original_channel_dim": 0,
        "space": SpaceKeys.RAS,
    }
    return MetaTensor(
        torch.from_numpy(pixels.display)[None],
        affine=torch.from_numpy(affine(pixels.geometry)),
        meta=meta,
    )


def network_intake(size: int) -> Transform:
    """Grey levels (1, H, W) in 0..255 to integer grey levels (1, size, size), float32,
    resized to the square: a lossy intake.

    Area averages are computed in float64, handed over by MONAI as float32 and rounded half to even:
    averages of integers lie on a tie exactly or far from it at that precision, so that every
    machine rounds alike. Takes a MetaTensor, tensor or array; a MetaTensor keeps its meta, its
    affine follows the new size. Raises ShapeError for another shape or range.
    """
    return _GreyIntake(size)


class _GreyIntake(Transform):
    """Looks at its input before a Compose does, which would make a ShapeError a RuntimeError."""

    def __init__(self, size: int):
        resize = Resize((size, size), mode="area", dtype=torch.float64)
        self.steps = Compose([resize, Lambda(_to_grey_levels)])

    def __call__(self, data: torch.Tensor | np.ndarray) -> MetaTensor:
        _check(data)
        return self.steps(data)


def _check(image: torch.Tensor | np.ndarray) -> None:
    if image.ndim != 3 or image.shape[0] != 1 or 0 in image.shape:
        raise ShapeError(f"expected an image (1, H, W), found {tuple(image.shape)}")
    if not (image.min() >= 0 and image.max() <= 255):
        raise ShapeError(
            "expected grey levels in 0..255, found values outside: pass display grey levels"
        )


def _to_grey_levels(image: torch.Tensor) -> torch.Tensor:
    return image.round().clamp(0, 255)
