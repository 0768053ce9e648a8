"""Images for commands that work on single images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import typer

from medinv.data.dicom.index import Instance, index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.transforms import as_metatensor, network_intake
from medinv.errors import ConfigError, DataError, MedinvError


def network_inputs(inputs: Sequence[Path], size: int) -> Iterator[tuple[Instance, np.ndarray]]:
    """Every readable image of files, folders and zips with what the network is given, (1, size, size) uint8.

    What cannot be read is named on stderr. Raises ConfigError for a path that is not there and DataError where no image is left.
    """
    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    found, intake, any_image = index(list(inputs)), network_intake(size), False
    for broken in found.broken:
        typer.echo(f"left out: {broken.error}", err=True)
    for instance in found.instances:
        try:
            image = torch.as_tensor(intake(as_metatensor(read_pixels(instance), instance)))
        except MedinvError as error:
            typer.echo(f"left out: {error}", err=True)
            continue
        any_image = True
        yield instance, image.numpy().astype(np.uint8)
    if not any_image:
        raise DataError("expected at least one monochrome DICOM image; none could be read")
