"""Images for commands that work on single images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import typer

from medinv.data.dicom.index import Instance, index
from medinv.data.dicom.pixels import Pixels, read_frames
from medinv.data.transforms import as_metatensor, network_intake
from medinv.errors import ConfigError, DataError, MedinvError


def frames(inputs: Sequence[Path]) -> Iterator[tuple[Instance, Pixels]]:
    """Every readable frame of files, folders and zips.

    What cannot be read is named on stderr. Raises ConfigError for a path that is not there and DataError where no image is left.
    """
    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    found, any_image = index(list(inputs)), False
    for broken in found.broken:
        typer.echo(f"left out: {broken.error}", err=True)
    for instance in found.instances:
        if instance.format == "nifti":
            typer.echo(
                f"left out: {instance.source}: a NIfTI volume; this command reads DICOM images",
                err=True,
            )
            continue
        try:
            for pixels in read_frames(instance):
                any_image = True
                yield instance, pixels
        except MedinvError as error:
            typer.echo(f"left out: {error}", err=True)
    if not any_image:
        raise DataError("expected at least one DICOM image; none could be read")


def network_inputs(inputs: Sequence[Path], size: int) -> Iterator[tuple[Instance, np.ndarray]]:
    """Every frame with what the network is given of it by the lossy intake, (1, size, size) uint8. Raises as `frames`."""
    intake = network_intake(size)
    for instance, pixels in frames(inputs):
        yield (
            instance,
            torch.as_tensor(intake(as_metatensor(pixels, instance))).numpy().astype(np.uint8),
        )
