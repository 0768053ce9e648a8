"""What travels from a file to a network and a picture: one decoded frame, and its origin."""

from dataclasses import dataclass, field

import numpy as np

from medinv.data.dicom.orientation import STORED, Turn
from medinv.data.dicom.records import Instance
from medinv.errors import ShapeError

FrameKey = tuple[str, int]  # the source of an image, and the number of a frame of it, from 1


@dataclass(frozen=True, order=True)
class InputSpec:
    """What a network is given: channels (1 grey, 3 red, green and blue), and the sides (H, W) or
    (D, H, W)."""

    channels: int
    size: tuple[int, ...]

    @classmethod
    def of(cls, image_shape: tuple[int, ...]) -> "InputSpec":
        """Of a model's `image_shape`, (channels, *size)."""
        return cls(image_shape[0], tuple(image_shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, *size)."""
        return (self.channels, *self.size)


def looked_at(given: np.ndarray) -> np.ndarray:
    """A network input (channels, *size) as one looks at it: (*size) of one channel, else
    (*size, channels)."""
    return given[0] if len(given) == 1 else np.moveaxis(given, 0, -1)


@dataclass(frozen=True)
class LosslessCertificate:
    """Whether the features of a frame decode to its bytes."""

    exact: bool
    stored_sha256: str  # of the frame's native little endian Pixel Data
    recovered_sha256: str  # of the same, decoded from the features
    bytes: int
    levels: int  # of the wavelet
    # largest distance of the decoded average band from the integers it was rounded to, stored units
    error: float
    margin: float  # what was left until one half, where rounding would fail
    contradicted: str | None = None  # why nothing is certified though bytes came back


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie at full size, the body lying as it is given to a network.

    shape: slices from feet to head, rows to the back, columns to the left. affine (4, 4): from
    (slice, row, column) to millimetres in DICOM's patient coordinates (left, back, head).
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def resized(self, size: tuple[int, ...]) -> "Grid":
        """That of the same body in other voxels: outer corners stay where they are."""
        scale = np.array(self.shape) / np.array(size)
        change = np.diag([*scale, 1.0])
        change[:3, 3] = (scale - 1) / 2
        return Grid((size[0], size[1], size[2]), self.affine @ change)


@dataclass
class Frame:
    """One frame of an image as a network and a reader are shown it.

    Arrays are there where they were asked for.
    """

    instance: Instance
    number: int | None  # from 1; None for an image of one frame
    policy: str  # what was applied between the stored values and the grey levels, in order
    sha256: str  # of the pixels as stored; empty where it was not asked for
    lossy: bool  # the pixels went through a lossy compression
    aspect: float  # height of a pixel over its width
    spacing: tuple[float, float] | None  # mm between rows, between columns
    inputs: dict[InputSpec, np.ndarray] = field(default_factory=dict)
    """(channels, *size) uint8 each, or float64 of the lossless intake."""
    intake: str | None = None  # what the lossless intake did; None: resized
    certificate: LosslessCertificate | None = None
    # (rows, columns) uint8, of colours (rows, columns, 3); of a volume (slices, rows, columns), as
    # many slices as the network input has
    display: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    turn: Turn = (
        STORED  # from pixels as stored, to which DICOM results refer, to those of `display`
    )
    # letters that rows and columns of the display run to, such as ("L", "F"); empty if not known
    orientation: tuple[str, ...] = ()
    grid: Grid | None = None  # of a volume
    # all images of a volume, `instance` among them, where they are needed: who asked fills it in
    parts: tuple[Instance, ...] = ()

    def __getstate__(self) -> dict[str, object]:
        """Without the instance: who asked another process for a frame knows it, and fills it in.

        It holds the geometry of all frames, which would be sent as often as there are frames.
        """
        return {**self.__dict__, "instance": None}

    @property
    def input(self) -> np.ndarray:
        """What the network was given, (channels, *size).

        Raises ShapeError where it was read for no network or for several: look into `inputs`.
        """
        if len(self.inputs) != 1:
            shapes = ", ".join(str(spec.shape) for spec in sorted(self.inputs)) or "none"
            raise ShapeError(
                f"expected an image that was read for one network; its inputs: {shapes}",
                stage="intake",
            )
        return next(iter(self.inputs.values()))

    @property
    def is_dicom(self) -> bool:
        """Whether it has a header that DICOM results can refer to."""
        return self.instance.format == "dicom"

    @property
    def key(self) -> FrameKey:
        """What tells it from every other frame of a run."""
        return self.instance.source, self.number or 1
