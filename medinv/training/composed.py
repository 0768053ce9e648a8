"""The part of the loss that composed films have."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.config import TrainConfig
from medinv.data.compose import Composer
from medinv.data.sets.labelled import Part
from medinv.errors import ConfigError
from medinv.layers import processes
from medinv.models.base import Calibrated


def composer_of(part: Part, recipe: TrainConfig) -> Composer | None:
    """What composes films of these training images, where the recipe says so.

    Raises ConfigError for images that it cannot compose.
    """
    if recipe.compose is None:
        return None
    shape, bits = part.images.shape[1:], 8 * part.images.dtype.itemsize
    square = len(shape) == 3 and shape[0] == 1 and shape[1] == shape[2]
    if not square or bits != 8 or part.labels.max() > 1:
        raise ConfigError(
            "train.compose: expected grey, square images of 8 bits in two classes; got images "
            f"{shape} of {bits} bits in {part.labels.max() + 1} classes: leave it out"
        )
    masks = None if part.masks is None else torch.from_numpy(np.array(part.masks))
    images, labels = torch.from_numpy(np.array(part.images)), torch.from_numpy(part.labels)
    return Composer(images, labels, recipe.compose, masks)


def composed_loss(
    model: Calibrated, composer: Composer, generator: torch.Generator, layout: torch.memory_format
) -> Tensor:
    """The weighted cross-entropy of the next composed films, dequantised as real ones are."""
    composed = composer.batch(generator)
    device, mine = next(model.parameters()).device, processes.share(len(composed.images))
    images = (composed.images + torch.rand_like(composed.images) - 0.5)[mine]
    logits = model.logits(images.to(device, memory_format=layout))
    targets = composed.targets[mine].to(device)
    cross_entropy = F.cross_entropy(model.calibrated(logits).float(), targets)
    evened = len(targets) * processes.size() / len(composed.images)  # shares may differ by one
    return composer.recipe.weight * evened * cross_entropy
