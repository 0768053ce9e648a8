"""Stored integers out of the Pixel Data element, through pydicom's decoders."""

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medinv.data.dicom import codestream
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError

MOST_PIXELS = 1 << 27  # 16 times a large mammogram; beyond it a damaged header would fill the memory

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


def decode(dataset: pydicom.Dataset, instance: Instance) -> tuple[np.ndarray, str]:
    """Stored pixels (rows, columns), in the smallest integer type that the header announces, and how they were decoded.

    Only the bits stored are kept (overlays may hide in the others) and signed values are extended from the highest of them
    (PS3.5 8.1.1). Raises PixelDataError if the data are absent, shorter than announced, or cannot be decoded.
    """
    data = _pixel_bytes(dataset, instance)
    if instance.rows * instance.columns > MOST_PIXELS:
        raise _error(instance, f"{instance.rows} x {instance.columns} pixels are announced, at most {MOST_PIXELS} are read")
    syntax = UID(instance.transfer_syntax)
    plugin = _PLUGINS.get(instance.transfer_syntax, "")
    try:
        data = _checked_frame(data, instance) if syntax.is_compressed and not syntax.is_deflated else _checked_native(data, instance)
        options = _options(dataset, instance)
        pixels, _ = get_decoder(syntax).as_array(data, index=0, raw=True, decoding_plugin=plugin, **options)
    except PixelDataError:
        raise
    except NotImplementedError as error:
        raise _error(instance, f"no decoder is at hand for transfer syntax {_name(syntax)}", stage="decode") from error
    except Exception as error:  # decoders raise whatever they met: ValueError, RuntimeError, struct.error, MemoryError, OSError, ...
        name = f" by {plugin}" if plugin else ""
        message = f"the pixel data ({_name(syntax)}) cannot be decoded{name} ({type(error).__name__}): damaged, or of an unsupported kind"
        raise _error(instance, message, stage="decode") from error
    if pixels.shape != (instance.rows, instance.columns) or pixels.dtype.kind not in "iu":
        raise _error(instance, f"decoded to {pixels.dtype} {pixels.shape}, expected integers ({instance.rows}, {instance.columns})", "decode")
    stored = _stored_bits(pixels, instance, native=not plugin)
    dropped = "" if np.array_equal(stored, pixels) else ", unused bits dropped"
    return stored, (plugin or "uncompressed") + dropped


def _pixel_bytes(dataset: pydicom.Dataset, instance: Instance) -> bytes:
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    if element is None or not element.value:
        raise _error(instance, "the Pixel Data are absent or empty", stage="read")
    return bytes(element.value)


def _checked_native(data: bytes, instance: Instance) -> bytes:
    """The bytes of the image, without padding. Raises PixelDataError if there are too few."""
    expected = -(-instance.rows * instance.columns * instance.bits_allocated // 8)
    if len(data) < expected:
        raise _error(
            instance,
            f"{instance.rows} x {instance.columns} pixels of {instance.bits_allocated} bits need {expected} bytes, "
            f"found {len(data)}: the pixel data are truncated, or rows and columns are wrong",
            stage="read",
        )
    return data[: expected + expected % 2]


def _checked_frame(data: bytes, instance: Instance) -> bytes:
    """The encapsulated data unchanged, if the codestream within looks whole."""
    frame = get_frame(data, 0, number_of_frames=1)
    shape = (instance.rows, instance.columns)
    if wrong := codestream.fault(frame, instance.transfer_syntax, shape, instance.bits_allocated // 8):
        raise _error(instance, wrong, stage="decode")
    return data


def _options(dataset: pydicom.Dataset, instance: Instance) -> dict:
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    return {
        "rows": instance.rows, "columns": instance.columns, "number_of_frames": 1, "samples_per_pixel": 1,
        "photometric_interpretation": instance.photometric, "pixel_representation": int(instance.signed),
        "bits_allocated": instance.bits_allocated, "bits_stored": instance.bits_stored,
        "pixel_keyword": "PixelData", "pixel_vr": element.VR or "OW", "correct_unused_bits": False,
    }  # fmt: skip


def _stored_bits(pixels: np.ndarray, instance: Instance, *, native: bool) -> np.ndarray:
    """Drop the bits that are not stored; extend the sign. Compressed frames hold the stored bits lowest, whatever HighBit says."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))  # a copy, and from big endian
    width = 8 * pixels.dtype.itemsize
    high = instance.high_bit if native else instance.bits_stored - 1
    if high + 1 > width or instance.bits_allocated == 1:
        return pixels
    kind = "i" if instance.signed else "u"
    if width > instance.bits_stored:
        pixels = pixels.view(f"u{width // 8}") << (width - 1 - high)
        pixels = pixels.view(f"{kind}{width // 8}") >> (width - instance.bits_stored)
    return pixels


def _name(syntax: UID) -> str:
    return syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "of a private or unknown kind"


def _error(instance: Instance, message: str, stage: str = "pixels") -> PixelDataError:
    return PixelDataError(message, path=instance.source, stage=stage)
