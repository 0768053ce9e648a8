"""From a configuration to labelled images."""

from collections.abc import Callable

import numpy as np

from medinv.config import DataConfig
from medinv.data.sets.chest_xray import load_chest_xray
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.medmnist import FILES, load_medmnist
from medinv.data.sets.cifar10 import load_cifar10
from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, VALIDATION_SEED, Recipe, draw, radiographs
from medinv.data.phantoms.sets import thumbnails
from medinv.errors import ConfigError


def load_images(
    config: DataConfig, *, progress: Callable[[str], None] = lambda text: None
) -> LabelledImages:
    """The training, validation and test images that a configuration names. Raises MissingDataError or ConfigError."""
    if config.set == "chest-xray":
        if config.path_variable is None:
            raise ConfigError(
                "data.path_variable must name the environment variable of the data folder"
            )
        return load_chest_xray(config.path_variable, config.size)
    if config.set == "cifar10":
        return load_cifar10(config.path_variable or "MEDINV_DATA")
    if config.set in FILES:
        return load_medmnist(config.set, config.path_variable or "MEDINV_DATA")
    if config.counts is None:
        raise ConfigError(
            "data.counts must give the numbers of training, validation and test phantoms"
        )
    training, validation, test = config.counts
    progress(
        f"generating {training} bodies for training, {validation} for validation, {test} for testing"
    )
    return LabelledImages(
        _pairs(training, config.size),
        _natural(validation, config.size, VALIDATION_SEED),
        _natural(test, config.size, TEST_SEED),
    )


def _pairs(bodies: int, size: int) -> Part:
    """Every body of the training seed twice, without and with its opacity, all else the same: the label is then told by the opacity alone."""
    images = np.empty((bodies, 2, 1, size, size), np.uint8)
    for i in range(bodies):
        images[i, :, 0] = thumbnails(draw(TRAIN_SEED, i, Recipe(opacity_share=1.0)), size)
    return Part(
        images.reshape(-1, 1, size, size),
        np.tile([0, 1], bodies),
        TRAIN_SEED * 1_000_000 + np.repeat(np.arange(bodies), 2),
    )


def _natural(bodies: int, size: int, seed: int) -> Part:
    """Every body once, about half with opacities."""
    made = radiographs(bodies, size, seed)
    return Part(
        made.images[:, None], made.labels.astype(np.int64), seed * 1_000_000 + np.arange(bodies)
    )
