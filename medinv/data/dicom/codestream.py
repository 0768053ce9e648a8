"""Looks into a compressed frame before a decoder does: some decoders fill in what is missing without a word, or trust a false size."""

import struct

_END = b"\xff\xd9"  # of a JPEG, JPEG-LS and JPEG 2000 codestream alike
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_RLE_GAIN = 64  # two bytes stand for at most 128
RLE = "1.2.840.10008.1.2.5"


def fault(frame: bytes, syntax: str, shape: tuple[int, int], pixel_bytes: int) -> str | None:
    """What is wrong with a frame that should hold `shape` (rows, columns) pixels of `pixel_bytes`, or None."""
    if syntax == RLE:
        if len(frame) < 64 or (len(frame) - 64) * _RLE_GAIN < shape[0] * shape[1] * pixel_bytes:
            return f"{len(frame)} bytes of RLE cannot hold {shape[0]} x {shape[1]} pixels"
        return None
    try:
        size = _jpeg2000_size(frame) if b"\xff\x4f\xff\x51" in frame[:4096] else _jpeg_size(frame)
    except (struct.error, IndexError):
        size = None
    if size is None:
        return "no JPEG or JPEG 2000 codestream is found"
    if 0 not in size and size != shape:  # a JPEG may leave its height open
        return f"the codestream holds {size[0]} x {size[1]} pixels, the header announces {shape[0]} x {shape[1]}"
    if not frame.rstrip(b"\0\xff").endswith(_END):
        return "the codestream has no end marker: it is truncated"
    return None


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns out of the frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2)."""
    position = frame.find(b"\xff\xd8")
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
            return struct.unpack_from(">HH", frame, position + 5)
        position += 2 + length


def _jpeg2000_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns out of the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.index(b"\xff\x4f\xff\x51")
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    return height - top, width - left
