"""Random changes of training images. Shifts are whole pixels: interpolation would teach a density model that films are blurred."""

from collections.abc import Callable

import numpy as np
import torch
from monai.transforms import BorderPad, Compose, RandScaleIntensity, RandShiftIntensity, RandSpatialCrop
from torch import Tensor

from medinv.config import TrainConfig


def augmentation(recipe: TrainConfig, size: int, seed: int) -> Callable[[np.ndarray], Tensor]:
    """A function from stored images (N, 1, size, size) uint8 to augmented float32 grey levels of the same shape, kept in 0..255."""
    steps: list = []
    if recipe.shift:
        steps += [BorderPad(recipe.shift, mode="edge"), RandSpatialCrop((size, size), random_size=False)]
    if recipe.gain:
        steps.append(RandScaleIntensity(recipe.gain, prob=1.0))
    if recipe.offset:
        steps.append(RandShiftIntensity(recipe.offset, prob=1.0))
    pipeline = Compose(steps).set_random_state(seed)
    return lambda images: torch.stack([torch.as_tensor(pipeline(torch.from_numpy(image).float())).clamp(0, 255) for image in images])
