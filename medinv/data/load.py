"""From a configuration to labelled images."""

from collections.abc import Callable

import numpy as np

from medinv.config import DataConfig
from medinv.data.chest_xray import load_chest_xray
from medinv.data.labelled import LabelledImages, Part
from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, VALIDATION_SEED, radiographs
from medinv.errors import ConfigError


def load_images(config: DataConfig, *, progress: Callable[[str], None] = lambda text: None) -> LabelledImages:
    """The training, validation and test images that a configuration names. Raises MissingDataError or ConfigError."""
    if config.set == "chest-xray":
        if config.path_variable is None:
            raise ConfigError("data.path_variable must name the environment variable of the data folder")
        return load_chest_xray(config.path_variable, config.size)
    if config.counts is None:
        raise ConfigError("data.counts must give the numbers of training, validation and test phantoms")
    parts = []
    for count, seed in zip(config.counts, (TRAIN_SEED, VALIDATION_SEED, TEST_SEED)):
        progress(f"generating {count} phantoms of seed {seed}")
        made = radiographs(count, config.size, seed)
        patients = seed * 1_000_000 + np.arange(count)  # every phantom is another body
        parts.append(Part(made.images[:, None], made.labels.astype(np.int64), patients))
    return LabelledImages(*parts)
