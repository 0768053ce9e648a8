"""The process that reads files, `python -m medinv.batch.reader FD`: what crashes or hangs here takes no batch with it.

It brings torch for the lossless intake only, and MONAI never, so that it starts in half a second. It is sent a Task, answers with a Film a frame and a Done a file (which
brings the last film, as messages cost more than films), and ends when the other end of its socket closes.
"""

import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels
from medinv.data.dicom.records import Instance
from medinv.data.resize import squash
from medinv.errors import MedinvError, PixelDataError

if TYPE_CHECKING:
    from medinv.data.frame import LosslessCertificate

READY = "ready"


@dataclass(frozen=True)
class Task:
    """Images to read, and what is wanted of each."""

    instances: tuple[Instance, ...]
    sizes: tuple[int, ...]  # sides of the network inputs
    lossless: bool  # inputs by the lossless intake instead of the resizing one
    display: bool  # whether the grey levels at full size are wanted too
    only: (
        frozenset[tuple[str, int]] | None
    )  # source and frame, from 0, of the frames wanted; None: all
    decoded: dict[
        tuple[str, int], np.ndarray
    ]  # network inputs (size, size) float64 that came back, to be certified against the file
    alarm: int  # seconds after which a file that hangs ends the process even if nobody is left to end it


@dataclass
class Film:
    """One frame as a network is shown it. `instance` is filled in where the film arrives, which knows it already."""

    instance: Instance | None
    frame: int | None  # from 1; None for an image of one frame
    inputs: dict[int, np.ndarray]  # by side: (side, side) uint8, or float64 of the lossless intake
    intake: str | None  # what the lossless intake did; None: resized
    certificate: "LosslessCertificate | None"
    display: np.ndarray | None  # (rows, columns) uint8
    policy: str
    sha256: str
    lossy: bool
    aspect: float
    spacing: tuple[float, float] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A file has been read, or why not. `film`: of the last frame."""

    film: Film | None
    error: MedinvError | None
    decoder_warnings: int


def serve(connection: Connection) -> None:
    """Say that all is loaded, then answer tasks until the other end closes."""
    connection.send(READY)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        for instance in task.instances:
            signal.alarm(task.alarm)
            connection.send(_read(instance, task, connection))
        signal.alarm(0)


def _read(instance: Instance, task: Task, connection: Connection) -> Done:
    error: MedinvError | None = None
    film: Film | None = None
    with warnings.catch_warnings(
        record=True
    ) as caught:  # decoders quote header values in their warnings: only how many there were is kept
        warnings.simplefilter("always")
        try:
            for pixels in _frames(instance, task):
                if film is not None:
                    connection.send(film)
                film = _film(instance, pixels, task)
        except MedinvError as found:
            error = found
        except MemoryError:
            error = PixelDataError(
                "the memory does not suffice for the image", path=instance.source
            )
        except ConnectionError:
            raise
        except Exception as found:  # an error of ours that no study should pay for
            error = PixelDataError(
                f"the image cannot be read ({type(found).__name__})", path=instance.source
            )
    return Done(film, error, len(caught))


def _frames(instance: Instance, task: Task) -> Iterator[Pixels]:
    if task.only is None:
        return read_frames(instance)
    return (
        read_pixels(instance, frame)
        for frame in range(instance.frames)
        if (instance.source, frame) in task.only
    )


def _film(instance: Instance, pixels: Pixels, task: Task) -> Film:
    inputs, intake = _inputs(pixels, task)
    return Film(
        instance=None,
        frame=pixels.frame + 1 if instance.frames > 1 else None,
        inputs=inputs,
        intake=intake,
        certificate=_certificate(pixels, task.decoded.get((instance.source, pixels.frame))),
        display=pixels.display if task.display else None,
        policy=pixels.policy,
        sha256=pixels.sha256,
        lossy=pixels.lossy,
        aspect=pixels.aspect,
        spacing=pixels.spacing,
        warnings=pixels.warnings,
    )


def _inputs(pixels: Pixels, task: Task) -> tuple[dict[int, np.ndarray], str | None]:
    if not task.lossless or not task.sizes:
        return {size: squash(pixels.display, size) for size in task.sizes}, None
    from medinv.data.lossless import LosslessIntake  # brings torch

    taken = {size: LosslessIntake(size).forward(pixels) for size in task.sizes}
    return {size: one.image[0].numpy() for size, one in taken.items()}, next(
        iter(taken.values())
    ).policy


def _certificate(pixels: Pixels, decoded: np.ndarray | None) -> "LosslessCertificate | None":
    if decoded is None:
        return None
    import torch

    from medinv.data.lossless import LosslessIntake, certificate

    return certificate(
        pixels, LosslessIntake(len(decoded)).forward(pixels), torch.from_numpy(decoded)[None]
    )


if __name__ == "__main__":
    from medinv.batch import (
        reader,
    )  # the module under its own name, so that both ends unpickle the same classes

    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the parent, which ends this process when it is done with it
    reader.serve(Connection(int(sys.argv[1])))
