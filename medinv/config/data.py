"""Which images: one class a data source."""

from typing import Literal

from pydantic import Field

from medinv.config.base import Named


class DataConfig(Named):
    """Which images, of `size` pixels a side. Each source has a class of its own."""

    by = "set"

    set: str
    size: int = Field(ge=16, le=4096, multiple_of=4)


class ChestXrayData(DataConfig):
    """Films in the folder that the environment variable `path_variable` names."""

    set: Literal["chest-xray"] = "chest-xray"
    path_variable: str = "MEDINV_DATA"


class Cifar10Data(DataConfig):
    """CIFAR-10 in the folder that the environment variable `path_variable` names."""

    set: Literal["cifar10"] = "cifar10"
    path_variable: str = "MEDINV_DATA"


class MedMNISTData(DataConfig):
    """A benchmark of MedMNIST in the folder that the environment variable names."""

    set: Literal["breastmnist", "pneumoniamnist", "adrenalmnist3d"]
    path_variable: str = "MEDINV_DATA"


class PhantomData(DataConfig):
    """Generated radiographs: numbers of bodies for training, validation and testing.

    A training body is taken twice, with and without its opacity.
    """

    set: Literal["phantoms"] = "phantoms"
    counts: tuple[int, int, int]


class ControlPhantomData(DataConfig):
    """Generated radiographs whose label an explanation must see through.

    marker: a lead letter goes with the label in 90 %. sham: the labels are permuted.
    """

    set: Literal["control-phantoms"] = "control-phantoms"
    counts: tuple[int, int, int]
    control: Literal["marker", "sham"]


class PreparedData(DataConfig):
    """Images that `medinv prepare` laid into a folder.

    A relative folder is looked for from the folder that holds the configuration file, then from
    the current one. It does not count for what the weights depend on: the hash of the images does.
    """

    set: Literal["prepared"] = "prepared"
    folder: str
