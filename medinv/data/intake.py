"""From a file to what a network and a reader are shown of it: the one intake of every command.

It brings torch for the lossless intake only, and MONAI never, so that a process that reads files
starts in half a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from medinv.data.dicom import pixels as dicom
from medinv.data.dicom.records import Broken, Instance
from medinv.data.frame import Frame, FrameKey, InputSpec, LosslessCertificate
from medinv.data.resize import resize


@dataclass(frozen=True)
class ReadRequest:
    """Images of one study that are to be read, and what is wanted of each of their frames."""

    instances: tuple[Instance, ...]
    specs: tuple[InputSpec, ...]  # the network inputs
    lossless: bool = False  # inputs by the lossless intake instead of the resizing one
    display: bool = False  # whether the grey levels at full size are wanted too
    only: frozenset[FrameKey] | None = None  # None: all
    # network inputs (1, side, side) float64 that came back, to be certified against the file
    decoded: Mapping[FrameKey, np.ndarray] = field(default_factory=dict)
    study_index: int = 0  # comes back with the answer


@dataclass
class FramesRead:
    """What a request gave: every instance is in `frames`, once for each frame, or in `broken`."""

    study_index: int
    frames: list[Frame] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    decoder_warnings: int = 0
    seconds: float = 0.0


def read_frames(instance: Instance, request: ReadRequest) -> Iterator[Frame]:
    """The frames of one image that are wanted, in order, each decoded when its turn comes.

    Raises what `medinv.data.dicom.pixels.read_frames` does, and PixelDataError for colour that the
    lossless intake was asked for.
    """
    for pixels in _decoded(instance, request.only):
        number = pixels.frame + 1
        inputs, intake = _inputs(pixels, request)
        yield Frame(
            instance=instance,
            number=number if instance.frames > 1 else None,
            policy=pixels.policy,
            sha256=pixels.sha256,
            lossy=pixels.lossy,
            aspect=pixels.aspect,
            spacing=pixels.spacing,
            inputs=inputs,
            intake=intake,
            certificate=_certificate(pixels, request.decoded.get((instance.source, number))),
            display=pixels.display if request.display else None,
            warnings=pixels.warnings,
            turn=pixels.turn,
            orientation=pixels.orientation,
        )


def _decoded(instance: Instance, only: frozenset[FrameKey] | None) -> Iterator[dicom.Pixels]:
    if only is None:
        return dicom.read_frames(instance)
    return (
        dicom.read_pixels(instance, index)
        for index in range(instance.frames)
        if (instance.source, index + 1) in only
    )


def _inputs(
    pixels: dicom.Pixels, request: ReadRequest
) -> tuple[dict[InputSpec, np.ndarray], str | None]:
    if not request.lossless or not request.specs:
        return {spec: resize(pixels.display, spec.size) for spec in request.specs}, None
    from medinv.data.lossless import LosslessIntake, side_of  # brings torch

    taken = {spec: LosslessIntake(side_of(spec.shape)).forward(pixels) for spec in request.specs}
    policy = next(iter(taken.values())).policy
    return {spec: one.image.numpy() for spec, one in taken.items()}, policy


def _certificate(pixels: dicom.Pixels, decoded: np.ndarray | None) -> LosslessCertificate | None:
    if decoded is None:
        return None
    import torch

    from medinv.data.lossless import LosslessIntake, certificate, side_of

    taken = LosslessIntake(side_of(decoded.shape)).forward(pixels)
    return certificate(pixels, taken, torch.from_numpy(decoded))
