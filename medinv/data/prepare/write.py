"""A set on the disk: there whole, or not at all."""

import csv
import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medinv.data.sets.info import (
    IMAGES,
    INFO,
    MANIFEST,
    MASKS,
    PARTS,
    REFUSED,
    About,
    DataSetInfo,
    read_info,
    write_info,
)
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import DataError, OutputError
from medinv.files import beside, write_whole

Values = Sequence[str] | Sequence[float] | np.ndarray
_ROWS = 256  # that are copied at a time


@dataclass(frozen=True)
class Refused:
    """An image that is not in the set, and why."""

    source: str  # pseudonym, or name where that identifies nobody
    code: str  # stable, for machines
    message: str
    fault: bool = False  # broken or contradictory, and not only something else


@dataclass(frozen=True)
class Content:
    """The images of a set and what is known of each, in any order; all of one length.

    images (N, C, *size) uint8 or uint16, masks (N, 1, *size) uint8. `columns` are kept for
    subgroups; `headers` are what the files say: manufacturer, modality. Where only some of the
    images are meant, `rows` are their numbers, and all else is of these.
    """

    images: np.ndarray
    labels: Sequence[str]
    splits: Sequence[str]
    patients: Sequence[str]
    names: Sequence[str] = ()  # of the images; none: their numbers
    columns: Mapping[str, Values] = field(default_factory=dict)
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    masks: np.ndarray | None = None
    refused: Sequence[Refused] = ()
    rows: Sequence[int] | None = None


def write_set(
    folder: str | Path,
    content: Content,
    about: About,
    *,
    classes: Sequence[str] = (),
    overwrite: bool = False,
) -> DataSetInfo:
    """Write a set; returns what it says of itself. `classes` are in the order of label numbers.

    Raises OutputError for a folder that holds something else, or a set that was not to be
    replaced, and DataError for a part or label that there is not.
    """
    with folder_made(Path(folder), overwrite=overwrite) as made:
        return lay_down(made, content, about, classes=classes)


@contextmanager
def folder_made(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder that becomes `folder` when the block ends without an error.

    What is put beside it is gone then. Raises OutputError, and what the block raises.
    """
    check_free(folder, overwrite=overwrite)
    work = beside(folder)
    try:
        made = work / "set"
        made.mkdir(parents=True)
        yield made
        check_free(folder, overwrite=overwrite)  # again: hours may have passed
        if folder.exists():
            folder.rename(work / "replaced")
        made.rename(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror}; choose another output folder", path=folder
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError unless a set may be written here: nothing else is ever replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / INFO).is_file():
        raise OutputError("the folder holds something else: name a new one", path=folder)
    if not overwrite:
        raise OutputError("a set is here: name a new folder, or pass --overwrite", path=folder)


def lay_down(
    folder: Path, content: Content, about: About, *, classes: Sequence[str] = ()
) -> DataSetInfo:
    """The files of a set, in the order of parts. As `write_set`, into a folder that is there."""
    labels, splits = np.array(content.labels, str), np.array(content.splits, str)
    classes = tuple(classes) or tuple(sorted(set(labels.tolist())))
    _check(labels, splits, classes)
    order = np.concatenate([np.flatnonzero(splits == part) for part in PARTS])
    rows = order if content.rows is None else np.array(content.rows, np.intp)[order]
    images, digests = _copied(folder / IMAGES, content.images, rows)
    masks = content.masks
    if masks is not None:
        masks = _copied(folder / MASKS, masks, rows)[0]
    table = {
        "image": np.array(content.names or [f"image-{n}" for n in range(len(labels))])[order],
        "patient": np.array(content.patients, str)[order],
        "label": labels[order],
        "split": splits[order],
        "sha256": np.array(digests, str),
        **{name: _header(content, name)[order] for name in ("manufacturer", "modality")},
        **{name: np.asarray(values)[order] for name, values in content.columns.items()},
    }
    _write_manifest(folder / MANIFEST, table)
    _write_refused(folder / REFUSED, content.refused)
    info = _counted(about, classes, images, table)
    info = info.model_copy(
        update={
            "columns": tuple(content.columns),
            "masks": masks is not None,
            "refused": dict(sorted(Counter(one.code for one in content.refused).items())),
        }
    )
    write_info(folder, info)
    return read_info(folder)


def _check(labels: np.ndarray, splits: np.ndarray, classes: tuple[str, ...]) -> None:
    if odd := sorted(set(splits) - set(PARTS)):
        raise DataError(f"expected parts {', '.join(PARTS)}; got {odd[0]!r}", stage="split")
    if odd := sorted(set(labels) - set(classes)):
        raise DataError(f"label {odd[0]!r} is none of {', '.join(classes)}", stage="labels")


def _header(content: Content, name: str) -> np.ndarray:
    return np.array(content.headers.get(name, [""] * len(content.labels)), str)


def _copied(path: Path, images: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Images in this order as a file, memory-mapped, and the SHA-256 of each."""
    shape = (len(order), *images.shape[1:])
    made = np.lib.format.open_memmap(path, mode="w+", dtype=images.dtype, shape=shape)
    digests = []
    for start in range(0, len(order), _ROWS):
        rows = images[order[start : start + _ROWS]]
        made[start : start + len(rows)] = rows
        digests += [hashlib.sha256(np.ascontiguousarray(row).data).hexdigest() for row in rows]
    made.flush()
    return made, digests


def _write_manifest(path: Path, table: Mapping[str, np.ndarray]) -> None:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    columns = {name: pyarrow.array(values.tolist()) for name, values in table.items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    write_whole(path, stream.getvalue())


def _write_refused(path: Path, refused: Sequence[Refused]) -> None:
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("source", "code", "message"))
    rows.writerows((one.source, one.code, one.message) for one in refused)
    write_whole(path, text.getvalue().encode())


def _counted(
    about: About, classes: tuple[str, ...], images: np.ndarray, table: Mapping[str, np.ndarray]
) -> DataSetInfo:
    numbers = np.array([classes.index(label) for label in table["label"]], np.int64)
    patients = np.unique(table["patient"], return_inverse=True)[1].astype(np.int64)
    counts, bodies, parts = {}, {}, []
    for name in PARTS:
        chosen = np.flatnonzero(table["split"] == name)  # together, as they were written
        rows = slice(int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else slice(0)
        parts.append(Part(images[rows], numbers[rows], patients[rows]))
        counts[name] = {label: int((numbers[rows] == k).sum()) for k, label in enumerate(classes)}
        bodies[name] = len(np.unique(patients[rows]))
    mean, std = _moments(parts[0].images)
    return DataSetInfo(
        **dict(about),
        classes=classes,
        channels=images.shape[1],
        size=images.shape[2:],
        bits=8 if images.dtype == np.uint8 else 16,
        counts=counts,
        patients=bodies,
        mean=mean,
        std=std,
        sha256=LabelledImages(*parts).sha256(),
    )


def _moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of how often each grey level is there."""
    levels = np.arange(np.iinfo(images.dtype).max + 1, dtype=np.float64)
    counts = np.zeros((images.shape[1], len(levels)))
    for start in range(0, len(images), _ROWS):
        for channel, rows in enumerate(np.moveaxis(images[start : start + _ROWS], 1, 0)):
            counts[channel] += np.bincount(rows.ravel(), minlength=len(levels))
    shares = counts / max(1, images.size // images.shape[1])
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(std, 4).tolist())
