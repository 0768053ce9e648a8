"""Images for commands that work on single images."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import typer

from medinv.data.decoded import decoded_frames
from medinv.data.dicom.grouping import group
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels
from medinv.data.dicom.records import Index, Instance
from medinv.data.frame import Frame, InputSpec
from medinv.data.intake import ReadRequest, read_frames, read_whole
from medinv.errors import ConfigError, DataError, MedinvError

T = TypeVar("T")


def check_inputs(inputs: Sequence[Path]) -> None:
    """Raise ConfigError for a path that is not there."""
    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)


def network_inputs(inputs: Sequence[Path], spec: InputSpec) -> Iterator[tuple[Frame, np.ndarray]]:
    """Every readable image of files, folders and zips with its network input (C, *size) uint8.

    What cannot be read is named on stderr. Raises ConfigError for a path that is not there and
    DataError where no image is left.
    """
    if len(spec.size) == 3:
        yield from _volumes(inputs, spec)
        return
    wanted = ReadRequest((), (spec,))
    for _, frame in _each(inputs, lambda instance: read_frames(instance, wanted)):
        yield frame, frame.inputs[spec]


def stored_pixels(inputs: Sequence[Path]) -> Iterator[tuple[Instance, Pixels]]:
    """Every readable frame as stored, for the lossless certificate. As `network_inputs`."""
    return _each(inputs, decoded_frames)


def _indexed(inputs: Sequence[Path]) -> Index:
    """What is there. Files that are broken, or are images of a kind that is not read, are named."""
    check_inputs(inputs)
    files = index(list(inputs))
    for broken in files.broken:
        typer.echo(f"left out: {broken.error}", err=True)
    for skipped in files.skipped:
        if skipped.code != "not-dicom":
            typer.echo(f"left out: {skipped.source}: {skipped.message}", err=True)
    return files


def _volumes(inputs: Sequence[Path], spec: InputSpec) -> Iterator[tuple[Frame, np.ndarray]]:
    """Every group of slices that makes a volume, and every NIfTI file."""
    files, any_volume = _indexed(inputs), False
    for one in (one for study in files.studies for one in group(study.instances)):
        try:
            frame = read_whole(ReadRequest(one.instances, (spec,), whole=len(one.instances)))
        except MedinvError as error:
            typer.echo(f"left out: {error}", err=True)
            continue
        any_volume = True
        yield frame, frame.inputs[spec]
    if not any_volume:
        raise DataError("expected at least one volume; none could be read")


def _each(
    inputs: Sequence[Path], read: Callable[[Instance], Iterator[T]]
) -> Iterator[tuple[Instance, T]]:
    files, any_image = _indexed(inputs), False
    for instance in files.instances:
        try:
            for frame in read(instance):
                any_image = True
                yield instance, frame
        except MedinvError as error:
            typer.echo(f"left out: {error}", err=True)
    if not any_image:
        raise DataError("expected at least one image; none could be read")
