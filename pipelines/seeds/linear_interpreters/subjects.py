"""ResNet-18 and MobileNetV2 as this package builds them, with random weights and trained."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from medinv.config import ModelConfig
from medinv.data.sets.labelled import LabelledImages
from medinv.models.base import Calibrated
from medinv.models.build import kind_of

NAMES = {"ResNet-18": "resnet18", "MobileNetV2": "mobilenetv2"}


def built(name: str, data: LabelledImages, seed: int) -> Calibrated:
    """With random weights; running statistics are those of some training images."""
    torch.manual_seed(seed)
    images = data.train.images
    some = {"channels": images.shape[1], "mean": float(images.mean()), "std": float(images.std())}
    config = ModelConfig.known()[NAMES[name]](
        kind=NAMES[name], classes=("negative", "positive"), **some
    )
    network = kind_of(config).build(config, images.shape[1:])
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.from_numpy(images[:64]).float())
    return network.eval()


def trained(
    network: Calibrated, data: LabelledImages, epochs: int, seed: int, batch: int = 32
) -> Calibrated:
    """After some epochs of AdamW on the training images, mirrored and shifted at random."""
    generator = np.random.default_rng(seed)
    images, labels = (
        torch.from_numpy(data.train.images).float(),
        torch.from_numpy(data.train.labels),
    )
    steps = len(images) // batch
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    network.train()
    for _ in range(epochs):
        order = generator.permutation(len(images))[: steps * batch].reshape(steps, batch)
        for rows in order:
            x = images[rows].roll(tuple(generator.integers(-2, 3, 2).tolist()), (2, 3))
            x = x.flip(3) if generator.random() < 0.5 else x
            loss = F.cross_entropy(network(x), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falls.step()
    return network.eval()


def subjects(
    data: LabelledImages, epochs: int, seed: int
) -> dict[tuple[str, str], Callable[[], nn.Module]]:
    """Networks by name and weights, made when called."""
    made: dict[tuple[str, str], Callable[[], nn.Module]] = {}
    for name in NAMES:
        made[name, "random"] = lambda name=name: built(name, data, seed)
        made[name, "trained"] = lambda name=name: trained(
            built(name, data, seed), data, epochs, seed
        )
    return made
