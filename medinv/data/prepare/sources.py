"""From what was handed in, and a list or folders, to labelled images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from medinv.config import Rules, Selection
from medinv.data.dicom.index import index
from medinv.data.frame import InputSpec
from medinv.data.prepare.arrays import read_arrays
from medinv.data.prepare.datalist import files_of, read_datalist
from medinv.data.prepare.items import gather
from medinv.data.prepare.labelled import Labelled, by_folders, by_table
from medinv.data.prepare.labels import LabelTable, read_table
from medinv.data.prepare.masks import MaskSource
from medinv.data.prepare.read import Read, Take, take_images
from medinv.data.sets.labelled import AS_STORED
from medinv.errors import ConfigError

FOLDERS, SIDE = "folders", 128
RESIZED = "lossy: display grey levels, resized by area averages, rounded to 8 bits"
VOLUMES = (
    "lossy: slices from feet to head, rows to the back, columns to the left; grey levels by one "
    "window a volume, resized by area averages, rounded to 8 bits"
)


@dataclass(frozen=True)
class Ask:
    """What was handed in, and how it is to be understood."""

    inputs: tuple[Path, ...]
    labels: str | None = None  # a CSV, the word folders, or None where inputs bring them
    label_column: str | None = None
    key: str | None = None
    size: str | None = None
    colour: bool = False
    bits: int = 8
    rules: Path | None = None
    classes: tuple[str, ...] = ()
    masks: MaskSource | None = None
    phi: bool = False


@dataclass(frozen=True)
class Source:
    """Labelled images, what is to become of each, and how to take them in."""

    labelled: Labelled
    spec: InputSpec
    take: Take
    rules: Rules | None = None
    intake: str = AS_STORED
    masks: MaskSource | None = None


def open_source(ask: Ask, read: Read, on_file: Callable[[str], None] | None = None) -> Source:
    """Look into all that was handed in. Raises ConfigError and DataError."""
    if ask.bits not in (8, 16):
        raise ConfigError(f"expected --bits 8 or 16; got {ask.bits}")
    endings = {path.suffix.lower() for path in ask.inputs}
    if endings & {".npz", ".json"} and len(ask.inputs) > 1:
        raise ConfigError("expected one npz or one datalist, and nothing beside it")
    if endings == {".npz"}:
        return _of_arrays(ask)
    if ask.bits == 16:
        raise ConfigError(
            "--bits 16 is for an npz alone: files are taken in as `medinv classify` takes them, "
            "to 8 bits"
        )
    table = _table(ask, datalist=endings == {".json"})
    inputs = files_of(table) if table and endings == {".json"} else list(ask.inputs)
    return _of_files(ask, inputs, table, read, on_file)


def _of_arrays(ask: Ask) -> Source:
    if ask.labels or ask.rules:
        raise ConfigError("an npz brings its labels, and no rules apply: leave these out")
    arrays = read_arrays(ask.inputs[0], ask.classes, ask.bits)
    if ask.masks:
        raise ConfigError("--masks is for files: an npz has none beside it")
    size = parse_size(ask.size, arrays.size)
    if len(size) != len(arrays.size):
        have = " x ".join(map(str, arrays.size))
        raise ConfigError(f"--size has {len(size)} sides, the images of the npz are {have}")
    intake = AS_STORED if size == arrays.size else RESIZED
    return Source(
        arrays.labelled, InputSpec(3 if ask.colour else 1, size), arrays.take, intake=intake
    )


def _table(ask: Ask, *, datalist: bool) -> LabelTable | None:
    """The list of labels; None for folders."""
    if datalist:
        if ask.labels:
            raise ConfigError("a datalist brings its labels: leave --labels out")
        return read_datalist(ask.inputs[0], ask.label_column)
    if ask.labels is None:
        raise ConfigError(f"name the labels: --labels FILE.csv, or --labels {FOLDERS}")
    if ask.labels == FOLDERS:
        return None
    if not Path(ask.labels).is_file():
        raise ConfigError(f"expected --labels {FOLDERS} or a CSV; no such file", path=ask.labels)
    return read_table(Path(ask.labels), ask.label_column)


def _of_files(
    ask: Ask,
    inputs: Sequence[Path],
    table: LabelTable | None,
    read: Read,
    on_file: Callable[[str], None] | None,
) -> Source:
    """Files, folders, zips and lists, indexed as for `medinv classify`."""
    size = parse_size(ask.size, (SIDE, SIDE))
    volumes = len(size) == 3
    if volumes and (ask.colour or ask.masks):
        raise ConfigError("volumes are of grey levels, without masks: leave out --colour, --masks")
    channels = 3 if ask.colour else 1
    rules = read_rules(ask.rules, volumes=volumes, channels=channels)
    files = index(inputs, on_file=on_file)
    gathered = gather(files, rules, inputs, phi=ask.phi, besides=ask.labels)
    if table is None:
        labelled = by_folders(gathered)
    else:
        labelled = by_table(gathered, table, ask.key, phi=ask.phi)
    return Source(
        labelled,
        InputSpec(channels, size),
        partial(take_images, read=read),
        rules,
        VOLUMES if volumes else RESIZED,
        ask.masks,
    )


def read_rules(path: Path | None, *, volumes: bool, channels: int = 1) -> Rules:
    """The rules of a file as a card has them: modalities, body_parts, selection.

    Without a file every readable image is taken, in colour too: its luminance where `channels` is
    one, while grey levels are repeated where it is three. Raises ConfigError.
    """
    takes: Literal["images", "volume"] = "volume" if volumes else "images"
    if path is None:
        taken = Selection(takes=takes, colour="luminance", grey="repeat")
        return Rules(channels=channels, selection=taken)
    try:
        tree = yaml.safe_load(path.read_text()) or {}
        rules = Rules.model_validate(tree).model_copy(update={"channels": channels})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"expected a readable YAML file: {error}", path=path) from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ConfigError(problems, path=path) from error
    if rules.selection.takes != takes:
        raise ConfigError(
            f"selection.takes is {rules.selection.takes}, but --size is that of "
            f"{'a volume' if volumes else 'an image'}",
            path=path,
        )
    return rules


def parse_size(text: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of `128`, `128x160` or `32x64x64`. Raises ConfigError.

    >>> parse_size("128", (64, 64)), parse_size("32x64x64", (64, 64))
    ((128, 128), (32, 64, 64))
    """
    if text is None:
        return default
    words = text.lower().replace("×", "x").split("x")
    if not all(word.isdecimal() for word in words) or len(words) > 3:
        raise ConfigError(f"expected --size as 128, 128x160 or 32x64x64; got {text!r}")
    sides = tuple(map(int, words))
    sides = sides * len(default) if len(sides) == 1 else sides
    if not all(4 <= side <= 4096 and side % 4 == 0 for side in sides):
        raise ConfigError(
            f"expected sides of --size that are multiples of 4, from 4 to 4096; got {text}"
        )
    return sides
