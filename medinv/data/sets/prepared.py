"""A set that `medinv prepare` made of somebody's own images: read memory-mapped."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medinv.config import PreparedData
from medinv.data.sets.info import IMAGES, INFO, MANIFEST, MASKS, PARTS, DataSetInfo, read_info
from medinv.data.sets.labelled import DataSet, LabelledImages, Part, Provenance
from medinv.errors import DataError, MissingDataError

DATA_VARIABLE = "MEDINV_DATA"  # names the folder of outside data
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class PreparedSet:
    """What a set says of itself, and its images."""

    info: DataSetInfo
    data: LabelledImages


def read_set(folder: str | Path) -> PreparedSet:
    """The set in a folder. Images and masks stay on the disk until they are looked at.

    Raises MissingDataError where no set is there, and DataError where its files contradict each
    other.
    """
    folder = Path(folder)
    info = read_info(folder)
    rows = _manifest(folder / MANIFEST, info)
    kind = np.uint8 if info.bits == 8 else np.uint16
    shape = (len(rows["label"]), *info.shape)
    images = _array(folder / IMAGES, shape, kind)
    masks = _array(folder / MASKS, (len(images), 1, *info.size), np.uint8) if info.masks else None
    labels = _labels(rows["label"], info, folder / MANIFEST)
    patients = np.unique(rows["patient"], return_inverse=True)[1].astype(np.int64)
    columns = {name: rows[name] for name in ("manufacturer", "modality", *info.columns)}

    def part(name: str) -> Part:
        chosen = _span(rows["split"] == name)
        return Part(
            images[chosen],
            labels[chosen],
            patients[chosen],
            columns={key: values[chosen] for key, values in columns.items()},
            masks=None if masks is None else masks[chosen],
        )

    return PreparedSet(info, LabelledImages(*map(part, PARTS)))


def load_prepared(settings: PreparedData) -> LabelledImages:
    """The images of a set, which must be of the size that a configuration states.

    Raises DataError where they are not, and what `read_set` raises.
    """
    found = read_set(located(settings.folder))
    size = settings.size
    fits = (
        found.info.size == tuple(size)
        if not isinstance(size, int)
        else (set(found.info.size) == {size})
    )
    if not fits:
        have = " x ".join(map(str, found.info.size))
        raise DataError(
            f"the set holds images of {have}, the configuration says data.size {size}: set it to "
            "the size of the set, or prepare the set again with --size",
            path=settings.folder,
        )
    return found.data


def _manifest(path: Path, info: DataSetInfo) -> Columns:
    """The columns of a manifest. Numbers that are not stated become not a number, words empty."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except FileNotFoundError as error:
        raise MissingDataError("the set has no manifest: prepare it again", path=path) from error
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError("the manifest is damaged: prepare the set again", path=path) from error
    wanted = {"patient", "label", "split", "manufacturer", "modality", *info.columns}
    if missing := sorted(wanted - set(table.column_names)):
        message = f"the manifest lacks the columns {', '.join(missing)}: prepare the set again"
        raise DataError(message, path=path)
    columns = {name: _column(table[name]) for name in table.column_names}
    if odd := set(columns["split"]) - set(PARTS):
        raise DataError(f"expected parts {', '.join(PARTS)}; got {sorted(odd)[0]!r}", path=path)
    return columns


def _column(column) -> np.ndarray:  # type: ignore[no-untyped-def]  # pyarrow has no types
    import pyarrow

    if pyarrow.types.is_string(column.type):
        return np.array(column.fill_null("").to_pylist(), dtype=str)
    return column.to_numpy()


def _array(path: Path, shape: tuple[int, ...], kind: type) -> np.ndarray:
    try:
        # Copied on write: what is changed in memory never reaches the file, and torch takes it.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError as error:
        message = f"the set has no {path.name}: prepare it again"
        raise MissingDataError(message, path=path) from error
    except (OSError, ValueError) as error:
        raise DataError("the file is damaged: prepare the set again", path=path) from error
    if array.shape != shape or array.dtype != kind:
        raise DataError(
            f"expected an array {shape} {np.dtype(kind)}, as the set says of itself; got "
            f"{array.shape} {array.dtype}: prepare the set again",
            path=path,
        )
    return array


def _labels(names: np.ndarray, info: DataSetInfo, path: Path) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(info.classes)}
    if odd := set(names) - set(numbers):
        known = ", ".join(info.classes)
        raise DataError(f"label {sorted(odd)[0]!r} is none of the classes {known}", path=path)
    return np.array([numbers[name] for name in names], np.int64)


def _span(chosen: np.ndarray) -> slice | np.ndarray:
    """Rows as a slice where they lie together, as they do when written: nothing is then copied."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return slice(0, 0)
    together = rows[-1] - rows[0] + 1 == len(rows)
    return slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def located(folder: str) -> str:
    """The folder of a set from here or, where it is not, below the one of outside data."""
    elsewhere = os.environ.get(DATA_VARIABLE)
    if elsewhere and not (Path(folder) / INFO).is_file():
        below = Path(elsewhere) / folder
        return str(below) if (below / INFO).is_file() else folder
    return folder


def _provenance(folder: str) -> Provenance:
    try:
        info = read_info(located(folder))
    except MissingDataError:  # its images may be in memory all the same
        return Provenance()
    return Provenance(info.source or info.name, info.command, info.intake, info.classes)


PREPARED = DataSet(
    PreparedData,
    lambda settings, progress: load_prepared(settings),
    intake="lossy: display grey levels, resized by area averages, rounded to 8 bits",
    provenance=lambda settings: _provenance(settings.folder),
)
