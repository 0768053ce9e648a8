"""From a file to what a network and a reader are shown of it: the one intake of every command.

It brings torch for the lossless intake only, and MONAI never, so that a process that reads files
starts in half a second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Thread

import numpy as np

from medinv.data.decoded import decoded_frames
from medinv.data.dicom.pixels import Pixels
from medinv.data.dicom.records import Broken, Instance
from medinv.data.frame import Frame, FrameKey, InputSpec, LosslessCertificate
from medinv.data.resize import resize, resize_volume
from medinv.errors import DataError

_LARGE = 1 << 20  # bytes, from which a thread is worth its start


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
    hashed: bool = True  # whether frames say the SHA-256 of their pixels as stored
    whole: int | None = None  # so many images make one volume; None: each is read by itself
    study_index: int = 0  # comes back with the answer


@dataclass
class FramesRead:
    """What a request gave: every instance is in `frames`, once for each frame, or in `broken`.

    Of a volume there is one frame, of its first instance, or every instance is broken.
    """

    study_index: int
    frames: list[Frame] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    decoder_warnings: int = 0
    seconds: float = 0.0


def read_frames(instance: Instance, request: ReadRequest) -> Iterator[Frame]:
    """The frames of one image that are wanted, in order, each decoded when its turn comes.

    Colours become their luma for a network of one channel; grey levels are repeated for one of
    three. Raises what `medinv.data.decoded.decoded_frames` does, and PixelDataError for colour that
    the lossless intake was asked for.
    """
    only = request.only
    wanted = None if only is None else {n for source, n in only if source == instance.source}
    for pixels in decoded_frames(instance, wanted):
        number = pixels.frame + 1
        sha256 = _hashing(pixels) if request.hashed else str
        inputs, intake = _inputs(pixels, request)
        yield Frame(
            instance=instance,
            number=number if instance.frames > 1 else None,
            policy=_policy(pixels, request),
            sha256=sha256(),
            lossy=pixels.lossy,
            aspect=pixels.aspect,
            spacing=pixels.spacing,
            inputs=inputs,
            intake=intake,
            certificate=_certificate(pixels, request.decoded.get((instance.source, number))),
            display=_shown(pixels) if request.display else None,
            warnings=pixels.warnings,
            turn=pixels.turn,
            orientation=pixels.orientation,
        )


def _hashing(pixels: Pixels) -> Callable[[], str]:
    """What gives the SHA-256, of large pixels made in a thread while they become network inputs."""
    if pixels.stored.nbytes < _LARGE:
        return lambda: pixels.sha256
    thread = Thread(target=getattr, args=(pixels, "sha256"))  # which keeps it
    thread.start()

    def made() -> str:
        thread.join()
        return pixels.sha256

    return made


def read_whole(request: ReadRequest) -> Frame:
    """The images of a request as one volume.

    Raises DataError where some of them are missing, as a volume without them would be another one,
    or where the lossless intake was asked for, and what `medinv.data.volume.volume_of` does.
    """
    first = request.instances[0]
    if request.lossless:
        raise DataError("the lossless intake reads images, not volumes", path=first.source)
    if len(request.instances) != request.whole:
        raise DataError(
            f"{len(request.instances)} of the {request.whole} images of this volume could be read: "
            "it is not classified without the others",
            path=first.source,
        )
    from medinv.data.volume import AXES, volume_of  # where nibabel waits until it is needed

    found = volume_of(request.instances)
    return Frame(
        instance=first,
        number=None,
        policy=found.policy,
        sha256=found.sha256,
        lossy=any(one.lossy for one in request.instances),
        aspect=found.spacing[1] / found.spacing[2],
        spacing=found.spacing[1:],
        inputs={
            spec: resize_volume(found.levels, spec.size).repeat(spec.channels, axis=0)
            for spec in request.specs
        },
        display=_slices(found.levels, request) if request.display else None,
        warnings=found.warnings,
        orientation=(AXES[2], AXES[1]),
        grid=found.grid,
    )


def _slices(levels: np.ndarray, request: ReadRequest) -> np.ndarray:
    """Grey levels (S, H, W) at full size in the plane, in as many slices as the network is given.

    Of several networks, the one of the most slices.
    """
    slices = max((spec.size[0] for spec in request.specs), default=len(levels))
    return resize_volume(levels, (slices, *levels.shape[1:]))[0]


def _inputs(pixels: Pixels, request: ReadRequest) -> tuple[dict[InputSpec, np.ndarray], str | None]:
    if not request.lossless or not request.specs:
        return {spec: _resized(pixels, spec) for spec in request.specs}, None
    from medinv.data.lossless import LosslessIntake, side_of  # brings torch

    taken = {spec: LosslessIntake(side_of(spec.shape)).forward(pixels) for spec in request.specs}
    policy = next(iter(taken.values())).policy
    return {spec: one.image.numpy() for spec, one in taken.items()}, policy


def _resized(pixels: Pixels, spec: InputSpec) -> np.ndarray:
    if spec.channels == 3 and pixels.colours is not None:
        return resize(pixels.colours, spec.size)
    grey = resize(pixels.display, spec.size)
    return grey if spec.channels == 1 else grey.repeat(spec.channels, axis=0)


def _shown(pixels: Pixels) -> np.ndarray:
    return pixels.display if pixels.colours is None else pixels.colours


def _policy(pixels: Pixels, request: ReadRequest) -> str:
    """What was done, of colours also which channels the networks are given."""
    channels = {spec.channels for spec in request.specs}
    if pixels.rgb is None:
        return pixels.policy + "; grey levels repeated in three channels" * (3 in channels)
    return pixels.policy + "; red, green and blue where a network has three channels" * (
        3 in channels
    )


def _certificate(pixels: Pixels, decoded: np.ndarray | None) -> LosslessCertificate | None:
    if decoded is None:
        return None
    import torch

    from medinv.data.lossless import LosslessIntake, certificate, side_of

    taken = LosslessIntake(side_of(decoded.shape)).forward(pixels)
    return certificate(pixels, taken, torch.from_numpy(decoded))
