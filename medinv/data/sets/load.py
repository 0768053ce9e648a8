"""From a configuration to labelled images: every data source there is."""

from typing import Any

from medinv.config import Config, DataConfig
from medinv.data.sets.labelled import DataSet, LabelledImages, Progress
from medinv.data.sets.phantom_ct import PHANTOM_CT
from medinv.data.sets.phantoms import PHANTOMS
from medinv.data.sets.prepared import PREPARED
from medinv.errors import ConfigError

SETS: tuple[DataSet[Any], ...] = (PHANTOMS, PHANTOM_CT, PREPARED)


def source_of(config: DataConfig) -> DataSet[Any]:
    """The source whose settings these are."""
    return next(each for each in SETS if type(config) is each.config)


def check_classes(config: Config) -> None:
    """Raise ConfigError where a set names its classes, and the configuration names others."""
    named, wanted = source_of(config.data).provenance(config.data).classes, config.model.classes
    if named and named != wanted:
        raise ConfigError(
            f"model.classes: expected those of the set in its order, {', '.join(named)}; got "
            f"{', '.join(wanted)}. To order or name them otherwise prepare the set with --classes"
        )


def load_images(config: DataConfig, *, progress: Progress = lambda text: None) -> LabelledImages:
    """The training, validation and test images that a configuration names.

    `progress` takes a word on long work. Raises MissingDataError, and DataError where a file is not
    what it should be.
    """
    return source_of(config).load(config, progress)
