"""Stored integers out of the Pixel Data element: of native words, or by a decoder of compressed
frames."""

from dataclasses import dataclass, replace

import numpy as np
import pydicom
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medinv.data.dicom import compressed
from medinv.data.dicom.codestream import RLE
from medinv.data.dicom.native import (
    SYNTAXES,
    Unused,
    frame_bytes,
    is_native,
    single_bits,
    stored_bits,
    unused_bits,
    words,
)
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError

__all__ = ["MOST_PIXELS", "SYNTAXES", "Decoded", "decode", "is_native"]

# Of a frame, 16 times a large mammogram; beyond it a damaged header would fill the memory.
MOST_PIXELS = 1 << 27
_PRIVATE = {
    "1.2.840.113619.5.2": "implicit VR, pixel data big endian (GE private)",
    "1.2.840.113619.5.1": "GE private",
    "1.3.46.670589.33.1.4.1": "CT private, explicit VR little endian (Philips private)",
    "1.2.840.10008.1.20": "Papyrus 3, implicit VR little endian (retired)",
}


@dataclass(frozen=True)
class Decoded:
    """One frame: (rows, columns), or (rows, columns, 3) colour by pixel."""

    # the bits stored, in the smallest integer type that holds them; may be a read-only view of the
    # file
    stored: np.ndarray
    # unsigned, as they lie in a native file with its unused bits; of a compressed frame `stored`
    # itself
    words: np.ndarray
    photometric: str  # of `stored`: decoders of JPEG 2000 turn YBR_RCT and YBR_ICT into RGB
    how: str
    instance: Instance  # with the bits and sign that the codestream has, where it says
    padding: np.ndarray | None = None  # (rows, columns) True where unused bits make a word padding
    warnings: tuple[str, ...] = ()
    # What of the Pixel Data these arrays do not hold, or hold against the header: no certificate
    # then.
    contradicted: str | None = None


def decode(dataset: pydicom.Dataset, instance: Instance, frame: int = 0) -> Decoded:
    """Stored pixels of a frame, and how they were decoded.

    Of native words only the bits stored are kept (overlays may hide in the others), signed values
    are extended from the highest of them (PS3.5 8.1.1). Of compressed frames precision and sign are
    the codestream's. Raises PixelDataError if the data are absent, shorter than announced, or
    cannot be decoded.
    """
    data = _pixel_bytes(dataset, instance)
    if instance.rows * instance.columns * instance.samples > MOST_PIXELS:
        raise _error(
            instance,
            f"{instance.rows} x {instance.columns} pixels are announced, at most {MOST_PIXELS} "
            "are read",
        )
    syntax = UID(instance.transfer_syntax)
    try:
        if instance.transfer_syntax in compressed.DECODERS:
            decoded = _compressed(data, dataset, instance, frame)
        elif syntax.is_private or not syntax.is_transfer_syntax or _is_encapsulated(syntax):
            raise NotImplementedError
        else:
            decoded = _native(data, dataset, instance, frame)
    except PixelDataError:
        raise
    except NotImplementedError as error:
        message = f"no decoder is at hand for transfer syntax {_name(syntax)}"
        raise _error(instance, message, stage="decode") from error
    except (
        Exception
    ) as error:  # decoders raise whatever they met: ValueError, struct.error, OSError, ...
        name = compressed.DECODERS.get(instance.transfer_syntax, ("",))[0]
        message = (
            f"the pixel data ({_name(syntax)}) cannot be decoded{name and f' by {name}'} "
            f"({type(error).__name__}): damaged, or of an unsupported kind"
        )
        raise _error(instance, message, stage="decode") from error
    return decoded


def _is_encapsulated(syntax: UID) -> bool:
    return syntax.is_compressed and not syntax.is_deflated


def _native(data: bytes, dataset: pydicom.Dataset, instance: Instance, frame: int) -> Decoded:
    data, uncounted = frame_bytes(data, instance)
    if instance.bits_allocated == 1 and instance.frames > 1:
        pixels, photometric = single_bits(data, instance, frame), instance.photometric
    elif is_native(instance):
        pixels, photometric = words(data, instance, frame), instance.photometric
    else:
        decoder = get_decoder(UID(instance.transfer_syntax))
        options = compressed.options(dataset, instance)
        pixels, properties = decoder.as_array(data, index=frame, raw=True, **options)
        photometric = _photometric(instance, properties)
    return _of_words(pixels, dataset, (photometric, "uncompressed", uncounted, ()), instance)


def _of_words(
    pixels: np.ndarray,
    dataset: pydicom.Dataset,
    said: tuple[str, str, str | None, tuple[str, ...]],
    instance: Instance,
) -> Decoded:
    """Of words with their unused bits. `said`: photometric interpretation, how they were decoded,
    what the header does not count, and warnings."""
    photometric, how, uncounted, warnings = said
    pixels = _checked(pixels, instance)
    stored = stored_bits(pixels, instance, instance.high_bit)
    unused = unused_bits(pixels, stored, dataset, instance) if stored.ndim == 2 else Unused("")
    return Decoded(
        stored,
        pixels.view(f"u{pixels.dtype.itemsize}"),
        photometric,
        ", ".join(filter(None, (how, unused.what))),
        instance,
        unused.padding,
        tuple(dict.fromkeys(filter(None, (*warnings, uncounted, unused.warning)))),
        uncounted or (unused.warning if unused.wrapped else None),
    )


def _compressed(data: bytes, dataset: pydicom.Dataset, instance: Instance, frame: int) -> Decoded:
    decoded = compressed.decode_frame(data, dataset, instance, frame)
    photometric = _photometric(instance, decoded.options)
    if instance.transfer_syntax == RLE:
        said = (photometric, decoded.decoder, decoded.uncounted, decoded.warnings)
        return _of_words(decoded.pixels, dataset, said, instance)
    pixels = _checked(decoded.pixels, instance)
    stored = stored_bits(pixels, decoded.instance, decoded.instance.bits_stored - 1)
    beyond = _beyond(stored, instance)
    return Decoded(
        stored,
        stored.view(f"u{stored.dtype.itemsize}"),
        photometric,
        decoded.decoder,
        decoded.instance if beyond else replace(decoded.instance, bits_stored=instance.bits_stored),
        None,
        tuple(filter(None, (*decoded.warnings, beyond))),
        decoded.uncounted or beyond,
    )


def _beyond(stored: np.ndarray, instance: Instance) -> str | None:
    """Values of a codestream that the header's bits and sign cannot hold."""
    bits = instance.bits_stored
    lowest, highest = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if instance.signed else (0, (1 << bits) - 1)
    )
    if stored.min() >= lowest and stored.max() <= highest:
        return None
    sign = "signed" if instance.signed else "unsigned"
    return (
        f"the codestream holds values from {stored.min()} to {stored.max()}, the header announces "
        f"{bits} bits {sign}: those of the codestream are taken"
    )


def _checked(pixels: np.ndarray, instance: Instance) -> np.ndarray:
    """In the machine's byte order. Raises PixelDataError for another shape or type."""
    shape = (instance.rows, instance.columns, 3)[: 2 if instance.samples == 1 else 3]
    if pixels.shape != shape or pixels.dtype.kind not in "iu":
        raise _error(
            instance,
            f"decoded to {pixels.dtype} {pixels.shape}, expected integers {shape}",
            "decode",
        )
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _photometric(instance: Instance, properties: dict) -> str:
    if instance.photometric == "YBR_PARTIAL_422":  # pydicom was told another name
        return instance.photometric
    return str(properties["photometric_interpretation"])


def _pixel_bytes(dataset: pydicom.Dataset, instance: Instance) -> bytes:
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    if element is None or not element.value:
        raise _error(instance, "the Pixel Data are absent or empty", stage="read")
    return bytes(element.value)


def _name(syntax: UID) -> str:
    if syntax in _PRIVATE:
        return f"{syntax}, {_PRIVATE[syntax]}"
    if syntax.is_transfer_syntax and not syntax.is_private:
        return syntax.name
    return f"{syntax if syntax.is_valid else 'that is no UID'}, of a private or unknown kind"


def _error(instance: Instance, message: str, stage: str = "pixels") -> PixelDataError:
    return PixelDataError(message, path=instance.source, stage=stage)
