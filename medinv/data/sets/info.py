"""What a prepared set says of itself: dataset.json, and the names of the files beside it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from medinv.config import Rules
from medinv.config.base import Frozen
from medinv.errors import DataError, MissingDataError
from medinv.files import write_whole

PARTS = ("training", "validation", "test")
IMAGES, MASKS, MANIFEST = "images.npy", "masks.npy", "manifest.parquet"
INFO, REFUSED, SHEET = "dataset.json", "refused.csv", "contact.png"
DISCLAIMER = "Research use, not for diagnosis."


class About(Frozen):
    """What is said of a set, beyond what is counted in it."""

    name: str
    patients_from: str = ""  # how images were told to be of one patient
    split: str = ""  # how parts were made
    rules: Rules | None = None  # which images were taken; None: not read from studies
    intake: str = "images as given"  # what became of an image before it was stored
    label_key: str = ""  # what labels were matched to images by
    source: str = ""
    licence: str = ""
    command: str = ""
    findings: tuple[str, ...] = ()  # what a reader of results should know


class DataSetInfo(About):
    """What a prepared set holds, and how it came about. Names no patient.

    `mean` and `std` are of the training images, one a channel, in stored grey levels. `sha256` is
    that of `LabelledImages`, which the card of a model trained on the set repeats.
    """

    version: Literal[1] = 1
    classes: tuple[str, ...]  # in the order of label numbers; of two the second is the positive
    channels: Literal[1, 3]
    size: tuple[int, ...]  # (H, W) or (D, H, W)
    bits: Literal[8, 16] = 8
    counts: dict[str, dict[str, int]]  # images by part and class
    patients: dict[str, int]  # by part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    columns: tuple[str, ...] = ()  # of the manifest, that subgroups are made of
    masks: bool = False
    refused: dict[str, int] = Field(default_factory=dict)  # images that are not in it, by reason
    disclaimer: str = DISCLAIMER

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (channels, *size)."""
        return (self.channels, *self.size)


def read_info(folder: str | Path) -> DataSetInfo:
    """The dataset.json of a set. Raises MissingDataError, DataError."""
    path = Path(folder) / INFO
    try:
        return DataSetInfo.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"no prepared set is here (a folder with {INFO}); make one: medinv prepare --help"
        raise MissingDataError(message, path=folder) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3]
        )
        message = f"expected the description of a prepared set ({problems}): prepare it again"
        raise DataError(message, path=path) from error


def write_info(folder: Path, info: DataSetInfo) -> None:
    """Write dataset.json. Raises OutputError."""
    write_whole(folder / INFO, info.model_dump_json(indent=1).encode() + b"\n")
