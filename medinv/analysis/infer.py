"""Images of many studies through one network, forwards and back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medinv.data.frame import LosslessCertificate
from medinv.errors import MedinvError, NetworkError
from medinv.models.density import Classifier

BITS = 8
BATCH = 64  # images; more at a time gain little


@dataclass(frozen=True)
class Figures:
    """What the network says of one image, and whether it gave the image back."""

    probabilities: list[float]
    score: float  # of the scope
    exact: bool
    max_abs_error: float  # grey levels
    decoded: np.ndarray  # (H, W) what the features gave back, unrounded
    dtype: str
    seconds: float
    certificate: LosslessCertificate | None = None  # of the stored pixels, by the lossless intake


def figures_of_studies(
    model: Classifier, studies: Sequence[Sequence[np.ndarray]]
) -> list[list[Figures] | MedinvError]:
    """Figures of the images (H, W) in grey levels of each study, several studies in one pass; one that the network cannot take fails by itself."""
    images = [image for study in studies for image in study]
    try:
        found = iter(_figures(model, images))
        return [[next(found) for _ in study] for study in studies]
    except (MedinvError, RuntimeError, MemoryError) as error:
        if len(studies) > 1:
            return [one for study in studies for one in figures_of_studies(model, [study])]
        return [
            error
            if isinstance(error, MedinvError)
            else NetworkError(str(error).splitlines()[0] if str(error) else type(error).__name__)
        ]


@torch.inference_mode()
def _figures(model: Classifier, images: list[np.ndarray]) -> list[Figures]:
    dtype = next(model.parameters()).dtype
    found = []
    for i in range(0, len(images), BATCH):
        start = time.monotonic()
        x = torch.from_numpy(np.stack(images[i : i + BATCH]))[:, None].to(dtype)
        reading = model.read(x)
        restored = model.invert(reading.features)
        errors = (restored - x).abs().flatten(1).amax(1).tolist()
        exact = (restored.round() == x).flatten(1).all(1).tolist()
        said = zip(
            reading.probabilities.tolist(),
            reading.scope.tolist(),
            exact,
            errors,
            restored[:, 0].numpy(),
            strict=True,
        )
        seconds = (time.monotonic() - start) / len(x)
        found += [
            Figures(*one, dtype=str(dtype).removeprefix("torch."), seconds=seconds) for one in said
        ]
    return found
