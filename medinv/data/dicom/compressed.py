"""Compressed frames, through pydicom's decoders and, for JPEG of 12 bits, through GDCM itself."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medinv.data.dicom import codestream
from medinv.data.dicom.codestream import Announced, Codestream
from medinv.data.dicom.records import Instance
from medinv.errors import PixelDataError

_EXTENDED = "1.2.840.10008.1.2.4.51"
# The decoders of a syntax, each tried when the one before it failed. Chosen for refusing truncated
# data: GDCM, which pydicom would ask first, fills in grey, and is second only where it refuses too.
DECODERS: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.4.50": ("pillow",), _EXTENDED: ("pillow",),  # JPEG
    # retired, progressive
    "1.2.840.10008.1.2.4.53": ("pillow",), "1.2.840.10008.1.2.4.55": ("pillow",),
    "1.2.840.10008.1.2.4.57": ("gdcm",), "1.2.840.10008.1.2.4.70": ("gdcm",),  # lossless JPEG
    # JPEG-LS
    "1.2.840.10008.1.2.4.80": ("pyjpegls", "gdcm"), "1.2.840.10008.1.2.4.81": ("pyjpegls", "gdcm"),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg",), "1.2.840.10008.1.2.4.91": ("pylibjpeg",),  # JPEG 2000
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",), "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),  # HTJ2K
    codestream.RLE: ("pydicom",),
}  # fmt: skip
_RETIRED = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")  # which pydicom does not know
_DCT = ("1.2.840.10008.1.2.4.50", _EXTENDED, *_RETIRED)
_TWELVE = 12  # bits of JPEG Extended, which neither pillow nor pydicom's way through GDCM reads


@dataclass(frozen=True)
class Frame:
    """What a decoder made of a frame."""

    pixels: np.ndarray
    options: dict  # of the decoder, among them the photometric interpretation
    decoder: str
    instance: Instance  # with the bits and sign of the codestream
    warnings: tuple[str, ...]
    uncounted: str | None  # what the header does not count


def decode_frame(data: bytes, dataset: pydicom.Dataset, instance: Instance, frame: int) -> Frame:
    """One frame. Raises PixelDataError if its codestream does not look whole,
    NotImplementedError if no decoder takes it, and whatever the decoders raise."""
    encoded = get_frame(
        data, frame, number_of_frames=instance.frames, extended_offsets=_offsets(dataset)
    )
    announced = Announced(
        instance.rows, instance.columns, instance.samples, instance.bits_allocated
    )
    if wrong := codestream.fault(encoded, instance.transfer_syntax, announced):
        raise PixelDataError(wrong, path=instance.source, stage="decode")
    stream = codestream.describe(encoded, instance.transfer_syntax)
    syntax, other = codestream.true_syntax(stream, instance.transfer_syntax), None
    if syntax != instance.transfer_syntax:
        other = f"the codestream is {UID(syntax).name}, which the transfer syntax does not say"
        instance = replace(instance, transfer_syntax=syntax)
    seen = _seen(instance, stream)
    uncounted = _uncounted(data, dataset, instance)
    pixels, told, decoder, failed = _decoded(data, encoded, dataset, instance, frame, stream)
    pixels = pixels.view(f"{'i' if seen.signed else 'u'}{pixels.dtype.itemsize}")
    doubts = (other, uncounted, failed and f"decoded by {decoder}, as {failed} could not")
    sign = _sign(instance, stream, pixels)
    return Frame(pixels, told, decoder, seen, tuple(filter(None, (*doubts, sign))), uncounted)


def _decoded(
    data: bytes,
    encoded: bytes,
    dataset: pydicom.Dataset,
    instance: Instance,
    frame: int,
    stream: Codestream | None,
) -> tuple[np.ndarray, dict, str, str]:
    """Pixels, the decoder's options, its name, and the names of those that failed before it."""
    syntax = instance.transfer_syntax
    if syntax in _DCT and stream and stream.precision == _TWELVE:
        pixels = _by_gdcm(encoded, instance)
        return pixels, {"photometric_interpretation": instance.photometric}, "gdcm", ""
    decoder = get_decoder(UID(_EXTENDED if syntax in _RETIRED else syntax))
    failed: list[str] = []
    given = options(dataset, instance, stream)
    names = DECODERS[syntax]
    for name in names:
        try:
            pixels, told = decoder.as_array(
                data, index=frame, raw=True, decoding_plugin=name, **given
            )
            return pixels, told, name, ", ".join(failed)
        except Exception:  # decoders raise whatever they met; the last one's is told
            failed.append(name)
            if name == names[-1]:
                raise
    raise NotImplementedError


def options(dataset: pydicom.Dataset, instance: Instance, stream: Codestream | None = None) -> dict:
    """What pydicom's decoders ask to know; of a JPEG 2000 codestream its own precision and sign."""
    element = dataset.get_item(0x7FE00010, keep_deferred=True)
    partial = instance.photometric == "YBR_PARTIAL_422"  # the same subsampling
    offsets = _offsets(dataset)
    told: dict[str, Any] = {
        "rows": instance.rows,
        "columns": instance.columns,
        "number_of_frames": instance.frames,
        "samples_per_pixel": instance.samples,
        "planar_configuration": instance.planar,
        "photometric_interpretation": "YBR_FULL_422" if partial else instance.photometric,
        "pixel_representation": int(instance.signed),
        "bits_allocated": instance.bits_allocated,
        "bits_stored": instance.bits_stored,
        "pixel_keyword": "PixelData",
        "pixel_vr": (element and element.VR) or "OW",
        "correct_unused_bits": False,
        "view_only": True,
    }
    if stream is not None:
        width = 8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32
        told["bits_allocated"] = max(width, instance.bits_allocated)
        if instance.transfer_syntax in _DCT:  # pillow gives bytes, whatever the header's words
            told["bits_allocated"] = width
        told["bits_stored"] = min(
            max(stream.precision, instance.bits_stored), told["bits_allocated"]
        )
        if stream.signed is not None:
            told |= {"pixel_representation": int(stream.signed), "bits_stored": stream.precision}
    return told | ({"extended_offsets": offsets} if offsets else {})


def _seen(instance: Instance, stream: Codestream | None) -> Instance:
    """The image as its codestream has it.

    An unsigned JPEG 2000 codestream under a signed header holds the bits of signed values: writers
    that leave the sign out are common. A signed codestream is signed.
    """
    if stream is None:
        return instance
    if stream.signed is None:
        return replace(instance, bits_stored=max(stream.precision, instance.bits_stored))
    return replace(instance, bits_stored=stream.precision, signed=stream.signed or instance.signed)


def _sign(instance: Instance, stream: Codestream | None, pixels: np.ndarray) -> str | None:
    """A contradiction that matters, if the header says signed and the codestream does not."""
    if stream is None or stream.signed is not False or not instance.signed:
        return None
    raw = pixels.view(f"u{pixels.dtype.itemsize}")
    if not (raw >> (stream.precision - 1) & 1).any():
        return None
    return "the codestream is unsigned, the header says signed: its bits are taken as signed values"


def _uncounted(data: bytes, dataset: pydicom.Dataset, instance: Instance) -> str | None:
    """Frames that the header does not count."""
    table = parse_basic_offsets(data)
    start = 8 + int.from_bytes(data[4:8], "little")
    _, offsets = parse_fragments(data[start:]) if not table else (0, table)
    if len(offsets) <= instance.frames:
        return None
    if not table and instance.transfer_syntax != codestream.RLE:
        places = [start + offset + 8 for offset in offsets]
        offsets = [at for at in places if codestream.starts_frame(data[at : at + 8])]
    there = len(offsets)
    if there <= instance.frames:
        return None
    return (
        f"the Pixel Data hold {there} frames, the header counts {instance.frames}: "
        f"{there - instance.frames} are not read"
    )


def _offsets(dataset: pydicom.Dataset) -> tuple[bytes, bytes] | None:
    """The Extended Offset Table and its lengths, if the file has them."""
    elements = [dataset.get_item(tag, keep_deferred=True) for tag in (0x7FE00001, 0x7FE00002)]
    if elements[0] is None or elements[1] is None:
        return None
    return bytes(elements[0].value), bytes(elements[1].value)


def _by_gdcm(encoded: bytes, instance: Instance) -> np.ndarray:
    """JPEG Extended of 12 bits, grey. pydicom does not ask GDCM for it; given what the
    codestream says of itself, GDCM decodes it to dcmtk's values. Raises NotImplementedError for
    colour, ValueError for another number of bytes than expected."""
    import gdcm

    if instance.samples != 1:
        raise NotImplementedError
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(encoded)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((instance.columns, instance.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(instance.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(
        gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(instance.transfer_syntax))
    )
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, _TWELVE, _TWELVE - 1, 0))
    content = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(content, "<u2").reshape(instance.rows, instance.columns)
