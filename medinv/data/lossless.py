"""The lossless intake: what the network is given, with integers beside it, is a bijection of the
stored pixels.

    stored pixels, turned as the image is read
                  -> rows and columns repeated to a square of size * 2^k, k >= 3
                  -> k levels of the S-transform, the Haar wavelet on integers
                  -> the averages (size, size), split by the header's window: inside it, and by how
                     much they lie beyond it
                  -> the part inside, scaled to 0..255 by the header's numbers: the network's input
                  -> the part beyond and three bands of details a level: integers carried along
                     unchanged, features beside the network's latent

Every step can be undone: a repeated row is dropped, the wavelet is bit-exact on integers, the
split is a sum, the scaling is affine and rounds nothing, and the trunk, run backwards in float64,
comes so near to the averages' integers that rounding restores them (the certificate says how
near). What lies in the unused bits of a native file (overlays, rubbish) is carried along as well.

Why repeat and not pad, why Haar and not LeGall 5/3, why split: so that the network sees nearly
what it sees of the lossy intake; pipelines/intake/lossless.py measures each.

The bytes that are certified are those of the frame in the native little endian transfer syntax:
one word of BitsAllocated a pixel, row by row, padded to an even length. Of a native little endian
file of one frame that is the value of its Pixel Data; of a compressed file the decoded values in
such words, unsigned or sign-extended. Nothing is certified of a frame whose Pixel Data hold more
than its header counts, or values that contradict it: bytes came back, but not all, or not as what
they are.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from medinv.data.dicom.grey import Scale
from medinv.data.dicom.orientation import Turn
from medinv.data.dicom.pixels import Pixels
from medinv.data.frame import LosslessCertificate
from medinv.errors import PixelDataError, ShapeError
from medinv.layers import IntegerHaar

POLICY = (
    "lossless: stored integers, repeated to a square, averaged by integer wavelets, scaled by the "
    "header; details and what the window leaves out carried along; nothing is blanked"
)

_TOLERANCE = 1e-6  # of a stored unit
_FINEST = 8  # an average covers at least so many rows and columns of the square


@dataclass(frozen=True)
class Layout:
    """What decoding needs beside the bands; all of it stands in the header."""

    rows: int  # as shown
    columns: int
    turn: Turn
    dtype: np.dtype  # of the stored integers
    bits_allocated: int
    scale: Scale


@dataclass(frozen=True)
class LosslessInput:
    """A frame in bands. With all of them it decodes to every byte; `recover` says how."""

    # (1, size, size) integers: averages of the stored pixels, as far as they lie in the window
    low: Tensor
    beyond: Tensor  # (1, size, size) integers: by how much they lie outside
    # (3, n, n) integers each, finest first: along W, along H, along both
    details: tuple[Tensor, ...]
    # (rows, columns) bits of the words that hold no pixel value; None if they follow from the value
    unused: np.ndarray | None
    layout: Layout

    @property
    def image(self) -> Tensor:
        """The network's input: (1, size, size) float64 grey levels 0..255, unrounded."""
        return self.low.double() * self.layout.scale.factor + self.layout.scale.offset

    @property
    def policy(self) -> str:
        """What was done, in words."""
        return f"{POLICY}; {self.layout.scale.policy}"

    def recover(self, image: Tensor) -> tuple[np.ndarray, float]:
        """Words (rows, columns), as stored, out of a decoded network input (1, size, size), and
        how far it lay from integers, in stored units (below one half)."""
        scaled = (image.double() - self.layout.scale.offset) / self.layout.scale.factor
        low = scaled.round()
        distance = (scaled - low).abs().max().item()
        square = _synthesised((low.to(self.low.dtype) + self.beyond)[None], self.details)[
            0, 0
        ].numpy()
        rows, columns = (_firsts(n, len(square)) for n in (self.layout.rows, self.layout.columns))
        shown = square[np.ix_(rows, columns)].astype(self.layout.dtype)
        words = np.ascontiguousarray(self.layout.turn.undo(shown)).view(
            f"u{self.layout.dtype.itemsize}"
        )
        return (words if self.unused is None else words ^ self.unused), distance


class LosslessIntake:
    """Pixels of any size to network inputs of `size` x `size`."""

    def __init__(self, size: int):
        self.size = size

    def forward(self, pixels: Pixels) -> LosslessInput:
        """Raises PixelDataError for colour, which has no affine way to grey."""
        if pixels.scale is None:
            raise PixelDataError(
                "the lossless intake reads grey images, this one is in colour: use the lossy "
                "intake",
                stage="intake",
            )
        stored = np.ascontiguousarray(pixels.turn.apply(pixels.stored))
        side = self._side(max(stored.shape))
        wide = torch.int32 if stored.dtype.itemsize <= 2 else torch.int64
        square = stored[np.ix_(*(np.arange(side) * n // side for n in stored.shape))]
        band, details = (
            torch.from_numpy(square.astype(np.int32 if wide is torch.int32 else np.int64))[
                None, None
            ],
            [],
        )
        while band.shape[-1] > self.size:
            bands = IntegerHaar()(band)
            band = bands[:, :1]
            details.append(bands[0, 1:])
        unused = pixels.words ^ pixels.stored.view(pixels.words.dtype)
        layout = Layout(
            stored.shape[0],
            stored.shape[1],
            pixels.turn,
            stored.dtype,
            pixels.bits_allocated,
            pixels.scale,
        )
        low = band[0].clamp(*_window(pixels.scale, torch.iinfo(wide)))
        return LosslessInput(
            low, band[0] - low, tuple(details), unused if unused.any() else None, layout
        )

    def _side(self, longest: int) -> int:
        side = self.size * _FINEST  # an average of few repeated rows would weigh some of them twice
        while side < longest:
            side *= 2
        return side


def _window(scale: Scale, kind: torch.iinfo) -> tuple[int, int]:
    """The integers of a kind that the scale maps to 0..255, but for rounding; a window that
    holds none keeps the next."""
    low, high = sorted(
        min(max((level - scale.offset) / scale.factor, kind.min), kind.max) for level in (0, 255)
    )
    first = math.ceil(low - _TOLERANCE)
    return first, max(first, math.floor(high + _TOLERANCE))


def _firsts(n: int, side: int) -> np.ndarray:
    """Where each of `n` rows first stands among the `side` repeated ones, row j being row
    floor(j n / side)."""
    return -(-np.arange(n) * side // n)


def _synthesised(low: Tensor, details: tuple[Tensor, ...]) -> Tensor:
    for detail in reversed(details):
        low = IntegerHaar().inverse(torch.cat([low, detail[None]], 1))
    return low


class Reversible(Protocol):
    """What is asked of a model: features that decode."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels and sides of an image as the model reads it; (1, n, n) here."""
        ...

    def features(self, x: Tensor) -> Tensor:
        """Of network inputs (N, 1, n, n)."""
        ...

    def invert(self, z: Tensor) -> Tensor:
        """The network inputs that have these features."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """All weights."""
        ...


def certify_lossless(model: Reversible, pixels: Pixels) -> LosslessCertificate:
    """Take a frame in, run the trunk forwards and backwards, decode latent and details, and
    compare every byte.

    Raises PixelDataError for colour, ShapeError for a model of several channels.
    """
    weights = next(model.parameters())
    intake = LosslessIntake(side_of(model.image_shape))
    taken = intake.forward(pixels)
    with torch.no_grad():
        decoded = model.invert(model.features(taken.image[None].to(weights)))[0]
    return certificate(pixels, taken, decoded.cpu())


def certificate(pixels: Pixels, taken: LosslessInput, decoded: Tensor) -> LosslessCertificate:
    """The certificate of a frame whose network input came back as `decoded` (1, size, size)."""
    words, error = taken.recover(decoded)
    stored, recovered = (native_pixel_data(w, pixels.bits_allocated) for w in (pixels.words, words))
    return LosslessCertificate(
        stored == recovered and pixels.contradicted is None,
        hashlib.sha256(stored).hexdigest(),
        hashlib.sha256(recovered).hexdigest(),
        len(stored),
        len(taken.details),
        error,
        0.5 - error,
        pixels.contradicted,
    )


def native_pixel_data(words: np.ndarray, bits_allocated: int) -> bytes:
    """The value of a native little endian Pixel Data element that holds these words (rows,
    columns), padded to an even length (PS3.5 8.1.1)."""
    if bits_allocated == 1:
        content = np.packbits(words.reshape(-1), bitorder="little").tobytes()
    else:
        content = np.ascontiguousarray(words, words.dtype.newbyteorder("<")).tobytes()
    return content + b"\0" * (len(content) % 2)


def side_of(image_shape: tuple[int, ...]) -> int:
    """The side of network inputs (1, n, n). Raises ShapeError for those of another shape."""
    if len(image_shape) != 3 or image_shape[0] != 1 or image_shape[1] != image_shape[2]:
        raise ShapeError(f"the lossless intake gives (1, n, n); this model reads {image_shape}")
    return image_shape[1]
