"""The shipped models as studies see them, and images that they know."""

import numpy as np
import torch
from torch import Tensor

from medinv.data.sets.labelled import Part
from medinv.data.sets.load import load_images
from medinv.data.sets.phantoms import bodies
from medinv.models.base import Calibrated

SHIPPED = ("phantom-opacity", "chest-xray", "cifar10")
FRESH = 5002  # seed of bodies in no other set


def known_part(model: Calibrated, count: int) -> Part:
    """Test images of a shipped model's own set, spread over it; of phantoms, fresh bodies.

    Sets of others lie in the folder that the environment's MEDINV_DATA names.
    """
    settings = model.card.config.data
    if settings.set == "phantoms":
        return bodies(count, settings.size, FRESH)
    test = load_images(settings).test
    rows = np.linspace(0, len(test) - 1, min(count, len(test))).round().astype(int)
    return Part(np.ascontiguousarray(test.images[rows]), test.labels[rows], test.patients[rows])


def known_images(model: Calibrated, count: int) -> Tensor:
    """Those images (count, C, *size) in grey levels, in the model's own arithmetic."""
    images = torch.from_numpy(known_part(model, count).images)
    return images.to(next(model.parameters()))
