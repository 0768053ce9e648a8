"""Stored integers out of the Pixel Data element, through pydicom's decoders."""

from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medinv.data.dicom import codestream
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError

SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
)  # implicit and explicit VR, little endian, uncompressed
MOST_PIXELS = (
    1 << 27
)  # of a frame, 16 times a large mammogram; beyond it a damaged header would fill the memory

# One decoder a syntax, so that an image decodes alike everywhere. Chosen for refusing truncated data: gdcm, which pydicom would
# ask first, fills in grey.
_PLUGINS = {
    "1.2.840.10008.1.2.4.50": "pillow", "1.2.840.10008.1.2.4.51": "pillow",  # JPEG
    "1.2.840.10008.1.2.4.57": "gdcm", "1.2.840.10008.1.2.4.70": "gdcm",  # lossless JPEG
    "1.2.840.10008.1.2.4.80": "pyjpegls", "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS
    "1.2.840.10008.1.2.4.90": "pylibjpeg", "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.201": "pylibjpeg", "1.2.840.10008.1.2.4.202": "pylibjpeg", "1.2.840.10008.1.2.4.203": "pylibjpeg",  # HTJ2K
    codestream.RLE: "pydicom",
}  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """One frame: (rows, columns), or (rows, columns, 3) colour by pixel."""

    stored: np.ndarray  # the bits stored, in the smallest integer type that the header announces; may be a read-only view of the file
    words: np.ndarray  # unsigned, as they lie in a native file with its unused bits; of a compressed frame `stored` itself
    photometric: str  # of `stored`: decoders of JPEG 2000 turn YBR_RCT and YBR_ICT into RGB
    how: str


def decode(dataset: pydicom.Dataset, instance: Instance, frame: int = 0) -> Decoded:
    """Stored pixels of a frame, and how they were decoded.

    Only the bits stored are kept (overlays may hide in the others) and signed values are extended from the highest of them
    (PS3.5 8.1.1). Raises PixelDataError if the data are absent, shorter than announced, or cannot be decoded.
    """
    data = _pixel_bytes(dataset, instance)
    if instance.rows * instance.columns * instance.samples > MOST_PIXELS:
        raise _error(
            instance,
            f"{instance.rows} x {instance.columns} pixels are announced, at most {MOST_PIXELS} are read",
        )
    syntax = UID(instance.transfer_syntax)
    plugin = _PLUGINS.get(instance.transfer_syntax, "")
    try:
        if syntax.is_compressed and not syntax.is_deflated:
            _check_frame(data, dataset, instance, frame)
        else:
            data = _checked_native(data, instance)
        pixels, photometric = _array(data, dataset, instance, frame)
    except PixelDataError:
        raise
    except NotImplementedError as error:
        raise _error(
            instance, f"no decoder is at hand for transfer syntax {_name(syntax)}", stage="decode"
        ) from error
    except Exception as error:  # decoders raise whatever they met: ValueError, RuntimeError, struct.error, MemoryError, OSError, ...
        name = f" by {plugin}" if plugin else ""
        message = f"the pixel data ({_name(syntax)}) cannot be decoded{name} ({type(error).__name__}): damaged, or of an unsupported kind"
        raise _error(instance, message, stage="decode") from error
    shape = (instance.rows, instance.columns, 3)[: 2 if instance.samples == 1 else 3]
    if pixels.shape != shape or pixels.dtype.kind not in "iu":
        raise _error(
            instance,
            f"decoded to {pixels.dtype} {pixels.shape}, expected integers {shape}",
            "decode",
        )
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    stored = _stored_bits(pixels, instance, native=not plugin)
    dropped = "" if stored is pixels else ", unused bits dropped"
    words = (stored if plugin else pixels).view(f"u{pixels.dtype.itemsize}")
    return Decoded(stored, words, photometric, (plugin or "uncompressed") + dropped)


def is_native(instance: Instance) -> bool:
    """Uncompressed grey levels of whole bytes, little endian."""
    return (
        instance.transfer_syntax in SYNTAXES
        and instance.samples == 1
        and instance.photometric != "PALETTE COLOR"
        and instance.bits_allocated in (8, 16)
    )


def _array(
    data: bytes, dataset: pydicom.Dataset, instance: Instance, frame: int
) -> tuple[np.ndarray, str]:
    """One frame as pydicom decodes it, and its photometric interpretation."""
    if (
        instance.bits_allocated == 1
        and instance.frames > 1
        and instance.transfer_syntax not in _PLUGINS
    ):
        return _single_bits(data, instance, frame), instance.photometric
    if is_native(instance):
        return _words(data, instance, frame), instance.photometric
    decoder, plugin = (
        get_decoder(UID(instance.transfer_syntax)),
        _PLUGINS.get(instance.transfer_syntax, ""),
    )
    pixels, found = decoder.as_array(
        data, index=frame, raw=True, decoding_plugin=plugin, **_options(dataset, instance)
    )
    partial = instance.photometric == "YBR_PARTIAL_422"  # pydicom was told another name
    return pixels, instance.photometric if partial else str(found["photometric_interpretation"])


def _words(data: bytes, instance: Instance, frame: int) -> np.ndarray:
    """A frame of whole bytes, as it lies there."""
    kind = np.dtype(f"<{'i' if instance.signed else 'u'}{instance.bits_allocated // 8}")
    pixels = instance.rows * instance.columns
    return np.frombuffer(data, kind, pixels, frame * pixels * kind.itemsize).reshape(
        instance.rows, instance.columns
    )


def _single_bits(data: bytes, instance: Instance, frame: int) -> np.ndarray:
    """Bits of a frame that may start within a byte: pydicom drops the byte in which such a frame ends."""
    pixels = instance.rows * instance.columns
    start, inside = divmod(frame * pixels, 8)
    bits = np.unpackbits(
        np.frombuffer(data, "u1")[start : start + -(-(inside + pixels) // 8)], bitorder="little"
    )
    return bits[inside : inside + pixels].reshape(instance.rows, instance.columns)


def _pixel_bytes(dataset: pydicom.Dataset, instance: Instance) -> bytes:
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    if element is None or not element.value:
        raise _error(instance, "the Pixel Data are absent or empty", stage="read")
    return bytes(element.value)


def _checked_native(data: bytes, instance: Instance) -> bytes:
    """The bytes of all frames, without what follows. Raises PixelDataError if there are too few."""
    samples = (
        2 if instance.photometric.endswith("_422") else instance.samples
    )  # two pixels share their chroma
    expected = -(
        -instance.frames * instance.rows * instance.columns * samples * instance.bits_allocated // 8
    )
    if len(data) < expected:
        frames = f"{instance.frames} frames of " if instance.frames > 1 else ""
        raise _error(
            instance,
            f"{frames}{instance.rows} x {instance.columns} pixels of {samples * instance.bits_allocated} bits need {expected} bytes, "
            f"found {len(data)}: the pixel data are truncated, or rows and columns are wrong",
            stage="read",
        )
    return data[: expected + expected % 2]


def _check_frame(data: bytes, dataset: pydicom.Dataset, instance: Instance, frame: int) -> None:
    """Raises PixelDataError if the codestream within does not look whole."""
    encoded = get_frame(
        data, frame, number_of_frames=instance.frames, extended_offsets=_offsets(dataset)
    )
    shape = (instance.rows, instance.columns)
    if wrong := codestream.fault(
        encoded, instance.transfer_syntax, shape, instance.samples * instance.bits_allocated // 8
    ):
        raise _error(instance, wrong, stage="decode")


def _offsets(dataset: pydicom.Dataset) -> tuple[bytes, bytes] | None:
    """The Extended Offset Table and its lengths, if the file has them."""
    elements = [dataset.get_item(tag, keep_deferred=True) for tag in (0x7FE00001, 0x7FE00002)]
    return None if None in elements else tuple(bytes(element.value) for element in elements)  # type: ignore[return-value]


def _options(dataset: pydicom.Dataset, instance: Instance) -> dict:
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    photometric = (
        "YBR_FULL_422" if instance.photometric == "YBR_PARTIAL_422" else instance.photometric
    )  # the same subsampling
    offsets = _offsets(dataset)
    return {
        "rows": instance.rows, "columns": instance.columns, "number_of_frames": instance.frames, "samples_per_pixel": instance.samples,
        "planar_configuration": instance.planar, "photometric_interpretation": photometric, "pixel_representation": int(instance.signed),
        "bits_allocated": instance.bits_allocated, "bits_stored": instance.bits_stored,
        "pixel_keyword": "PixelData", "pixel_vr": element.VR or "OW", "correct_unused_bits": False, "view_only": True,
        **({"extended_offsets": offsets} if offsets else {}),
    }  # fmt: skip


def _stored_bits(pixels: np.ndarray, instance: Instance, *, native: bool) -> np.ndarray:
    """Drop the bits that are not stored; extend the sign. Compressed frames hold the stored bits lowest, whatever HighBit says.

    The very array that was given if it needs neither.
    """
    width, bits = 8 * pixels.dtype.itemsize, instance.bits_stored
    high = instance.high_bit if native else bits - 1
    if high + 1 > width or instance.bits_allocated == 1 or bits == width:
        return pixels
    lowest, highest = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if instance.signed else (0, (1 << bits) - 1)
    )
    if high == bits - 1 and pixels.min() >= lowest and pixels.max() <= highest:
        return pixels
    shifted = pixels.view(f"u{width // 8}") << (width - 1 - high)
    return shifted.view(f"{'i' if instance.signed else 'u'}{width // 8}") >> (width - bits)


def _name(syntax: UID) -> str:
    return (
        syntax.name
        if syntax.is_transfer_syntax and not syntax.is_private
        else "of a private or unknown kind"
    )


def _error(instance: Instance, message: str, stage: str = "pixels") -> PixelDataError:
    return PixelDataError(message, path=instance.source, stage=stage)
