"""Data sets within bounds: deflated ones unpacked as far as they may be, nested ones as deep as
they may go."""

import errno
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pydicom
from pydicom.config import disable_value_validation
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medinv.data.dicom import archive
from medinv.data.dicom.location import Location
from medinv.data.dicom.records import Instance
from medinv.errors import DataError, HeaderError, MedinvError, PixelDataError

DEFLATED = b"1.2.840.10008.1.2.1.99"
MOST_HEADER = 1 << 28  # bytes of a header: the largest of thousands of frames have a tenth
_PLAIN = b"1.2.840.10008.1.2.1\0\0\0"  # explicit VR little endian, of the same length
_MOST_INFLATED = 4 << 30  # bytes of a deflated data set
_PIECE = 1 << 16
_SMALL = 1 << 20  # bytes
_DEPTH = 20_000  # Python frames: some thousand sequences within each other


class Capped(io.RawIOBase):
    """A stream of which no more than `limit` bytes are read. Raises HeaderError beyond."""

    def __init__(self, stream: BinaryIO, limit: int, source: str):
        self._stream, self._left, self._limit, self._source = stream, limit, limit, source

    def read(self, size: int = -1) -> bytes:
        """As of any stream; the bytes that are asked for count, so that none is read in vain."""
        content = self._stream.read(
            self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        )
        self._left -= len(content)
        if self._left < 0:
            raise HeaderError(
                f"the header has more than {self._limit} bytes: refused, damaged or hostile",
                path=self._source,
            )
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any stream: what is passed over is not kept."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Place in the stream."""
        return self._stream.tell()


@contextmanager
def deep() -> Iterator[None]:
    """Let sequences lie deeper within each other than Python's default allows; still bounded."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def is_deflated(start: bytes) -> bool:
    """By the file meta information in a file's first bytes."""
    return DEFLATED in start[:1024]


def inflated_start(stream: BinaryIO, location: Location) -> io.BytesIO:
    """The beginning of a deflated data set (`MOST_HEADER` at most) as a plain file.

    The rest is inflated in pieces and kept nowhere. Raises HeaderError for one that is cut, or a
    bomb.
    """
    meta, data, kept, total = *_split(stream, location.source), bytearray(), 0
    for piece in data:
        total += len(piece)
        kept += piece[: max(MOST_HEADER - len(kept), 0)]
        if total > _MOST_INFLATED or archive.LIMITS.bomb(total, location.size()):
            raise HeaderError(
                f"inflates to more than {total} bytes: refused as a decompression bomb",
                path=location.source,
            )
    return io.BytesIO(meta + kept)


def _split(stream: BinaryIO, source: str) -> tuple[bytes, Iterator[bytes]]:
    """Preamble and meta information as of a plain file, and the data set in inflated pieces."""
    stream.seek(0)
    start = stream.read(144)
    if start[128:138] != b"DICM\x02\x00\x00\x00UL":
        raise HeaderError(
            "a deflated file must state the length of its meta information, this one does not",
            path=source,
        )
    length = int.from_bytes(start[140:144], "little")
    if length > MOST_HEADER:
        raise HeaderError(f"{length} bytes of meta information are announced: damaged", path=source)
    meta = start + stream.read(length)
    return meta.replace(DEFLATED, _PLAIN), _inflated(stream, source)


def _inflated(stream: BinaryIO, source: str) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while piece := stream.read(_PIECE):
        while piece and not inflate.eof:
            yield inflate.decompress(piece, 1 << 20)
            piece = inflate.unconsumed_tail
    if not inflate.eof:
        raise HeaderError("the deflated data set ends early: the file is truncated", path=source)


def read_whole(instance: Instance) -> pydicom.Dataset:
    """All of a file, in memory. It holds patient identifiers.

    A deflated one may take the pixels that its header announced, and `MOST_HEADER` beside. Raises
    PixelDataError if it cannot be parsed to its end, MissingDataError or ArchiveError if it cannot
    be opened.
    """
    location = instance.location
    try:
        with location.read() if location.member else _opened(location) as content:
            return _parsed(content, instance)
    except MedinvError:
        raise
    except Exception as error:  # pydicom's parser raises whatever it met: EOFError, KeyError, ...
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # no place it was told of
            raise DataError(
                f"the file cannot be read ({type(error).__name__})", path=instance.source
            ) from error
        raise PixelDataError(
            f"the file cannot be parsed to its end ({type(error).__name__}): it is truncated or "
            "damaged",
            path=instance.source,
            stage="read",
        ) from error


def _opened(location: Location) -> BinaryIO:
    """A file on disk, in memory if it is small, where pydicom is quicker. Of a large one the
    parser's copy is the only one: a second costs as much as decoding.
    """
    stream = location.open()
    if os.fstat(stream.fileno()).st_size > _SMALL:
        return stream
    with stream:
        return io.BytesIO(stream.read())


def _parsed(content: BinaryIO, instance: Instance) -> pydicom.Dataset:
    deflated = is_deflated(content.read(1024))
    content.seek(0)
    # its warnings quote values, which may name a patient
    with deep(), disable_value_validation():
        dataset = pydicom.dcmread(_plain(content, instance) if deflated else content, force=True)
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset


def _plain(content: BinaryIO, instance: Instance) -> io.BytesIO:
    pixels = instance.frames * instance.rows * instance.columns * instance.samples
    allowed = MOST_HEADER + -(-pixels * instance.bits_allocated // 8)
    meta, data = _split(content, instance.source)
    whole = bytearray(meta)
    for piece in data:
        whole += piece
        if len(whole) > allowed:
            raise PixelDataError(
                f"inflates to more than the {allowed} bytes that its header lets expect: refused",
                path=instance.source,
                stage="read",
            )
    return io.BytesIO(whole)
