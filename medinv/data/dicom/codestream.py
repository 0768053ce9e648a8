"""Looks into a compressed frame before a decoder does: some decoders fill in what is missing
without a word, trust a false size, or take precision and sign from a header that contradicts the
codestream."""

import struct
from dataclasses import dataclass

_END = b"\xff\xd9"  # of a JPEG, JPEG-LS and JPEG 2000 codestream alike
_JPEG2000 = b"\xff\x4f\xff\x51"  # SOC, SIZ
_JPEG = b"\xff\xd8"
_JP2 = b"\0\0\0\x0cjP  "  # the box that a JP2 file begins with, which DICOM does not want
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_MARKER_KINDS = {0xF7: "jpeg-ls"}  # SOF55; of the others, those of 3 modulo 4 have no DCT
_RLE_GAIN = 64  # two bytes stand for at most 128
RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True)
class Codestream:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself."""

    rows: int  # 0 where a JPEG leaves it open
    columns: int
    components: int
    precision: int  # bits
    signed: bool | None  # None: this kind of codestream does not say
    kind: str  # jpeg2000, jpeg-ls, lossless (JPEG without DCT) or dct


# A transfer syntax whose decoder takes the kind, and those that announce it.
_KINDS = {
    "jpeg2000": ("1.2.840.10008.1.2.4.91", ("90", "91", "92", "93", "201", "202", "203")),
    "jpeg-ls": ("1.2.840.10008.1.2.4.81", ("80", "81")),
    "lossless": ("1.2.840.10008.1.2.4.57", ("57", "70")),
    "dct": ("1.2.840.10008.1.2.4.51", ("50", "51", "53", "55")),
}


def true_syntax(stream: Codestream | None, announced: str) -> str:
    """The announced transfer syntax, or one of the kind that the codestream is."""
    if stream is None:
        return announced
    syntax, endings = _KINDS[stream.kind]
    return announced if announced.rpartition(".")[2] in endings else syntax


@dataclass(frozen=True)
class Announced:
    """What the header says of a frame."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int


def describe(frame: bytes, syntax: str) -> Codestream | None:
    """What the codestream says; None for RLE, which says nothing, and for what is no codestream."""
    if syntax == RLE:
        return None
    try:
        return _jpeg2000(frame) if _JPEG2000 in frame[:4096] else _jpeg(frame)
    except (struct.error, IndexError):
        return None


def fault(frame: bytes, syntax: str, announced: Announced) -> str | None:
    """What is wrong with a frame that should hold what the header announces, or None."""
    rows, columns, samples = announced.rows, announced.columns, announced.samples
    if syntax == RLE:
        return _rle_fault(frame, announced)
    stream = describe(frame, syntax)
    if stream is None:
        return "no JPEG or JPEG 2000 codestream is found"
    # A JPEG may leave its height open.
    if stream.rows and stream.columns and (stream.rows, stream.columns) != (rows, columns):
        return (
            f"the codestream holds {stream.rows} x {stream.columns} pixels, the header announces "
            f"{rows} x {columns}"
        )
    if stream.components != samples:
        return (
            f"the codestream holds {stream.components} components a pixel, the header announces "
            f"{samples} samples"
        )
    if frame.startswith(_JP2) and not _boxes_lead_to_codestream(frame):
        return "the boxes before the JPEG 2000 codestream are damaged"
    if not frame.rstrip(b"\0\xff").endswith(_END):
        return "the codestream has no end marker: it is truncated"
    return None


def starts_frame(fragment: bytes) -> bool:
    """Whether a fragment begins a codestream."""
    return fragment.startswith((_JPEG, _JPEG2000)) or fragment[4:8] == b"jP  "


def _boxes_lead_to_codestream(frame: bytes) -> bool:
    """Whether a JP2 file's boxes can be walked (ISO 15444-1 I.4): pydicom would step over one of no
    length for ever."""
    at = len(_JP2) + 4
    while at + 8 <= len(frame) and frame[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(frame[at : at + 4])
        if length < 8:
            return False
        at += length
    return at + 8 <= len(frame)


def _rle_fault(frame: bytes, announced: Announced) -> str | None:
    pixels = announced.rows * announced.columns
    size = announced.samples * announced.bits_allocated // 8
    if len(frame) < 64 or (len(frame) - 64) * _RLE_GAIN < pixels * size:
        return (
            f"{len(frame)} bytes of RLE cannot hold {announced.rows} x {announced.columns} pixels"
        )
    segments = int.from_bytes(frame[:4], "little")
    if segments != size:
        return f"the RLE frame holds {segments} segments, pixels of {size} bytes have {size}"
    return None


def _jpeg(frame: bytes) -> Codestream | None:
    """Out of the frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2)."""
    position = frame.find(_JPEG)
    if position < 0:
        return None
    position += 2
    while True:
        while frame[position] == 0xFF and frame[position + 1] == 0xFF:
            position += 1
        if frame[position] != 0xFF:
            return None
        marker, length = frame[position + 1], struct.unpack_from(">H", frame, position + 2)[0]
        if marker in _FRAME_MARKERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            kind = _MARKER_KINDS.get(marker, "lossless" if marker & 3 == 3 else "dct")
            return Codestream(rows, columns, components, precision, None, kind)
        position += 2 + length


def _jpeg2000(frame: bytes) -> Codestream:
    """Out of the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.index(_JPEG2000)
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    precision, signed = (depth & 0x7F) + 1, depth > 0x7F
    return Codestream(height - top, width - left, components, precision, signed, "jpeg2000")
