"""Files as nearly all are written, parsed in a fraction of pydicom's time.

Element by element it gives what pydicom's parser gives; where anything is out of the ordinary it
gives None, and pydicom's parser judges.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.charset import convert_encodings, default_encoding, python_encoding
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from medinv.data.dicom.fields import same_tag

PIXELS = 0x7FE00008  # tag of the first element that holds pixels
FIRST = 1 << 14  # bytes that hold most headers whole
_PIXEL_DATA = 0x7FE00010
_CHARSET, _SYNTAX, _META_ENDS = 0x00080005, 0x00020010, 144
_IMPLICIT, _EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
_COMPRESSED = b"1.2.840.10008.1.2.4."
_RLE = b"1.2.840.10008.1.2.5"
_UNDEFINED = 0xFFFFFFFF
_VRS = {vr.encode(): (vr.value, vr in EXPLICIT_VR_LENGTH_32) for vr in VR if len(vr) == 2}
_IMPLICIT_HEAD, _EXPLICIT_HEAD, _LENGTH = (
    struct.Struct(f"<{code}") for code in ("HHL", "HH2sH", "L")
)
_OF_PATIENTS = (0x0010, 0x0012)  # groups
_ITEM, _ITEMS_END = 0xFFFEE000, 0xFFFEE0DD  # tags
_ENDED = b"\xfe\xff\x0d\xe0\0\0\0\0"  # an item of undefined length
_LETTERS = range(0x41, 0x5B)
_NO_MORE = 1 << 32  # beyond every tag

Elements = dict[BaseTag, RawDataElement | DataElement]
Wanted = Callable[[int], bool]


class _Odd(Exception):
    """Something out of the ordinary."""


def everything(tag: int) -> bool:
    """All elements."""
    return True


def not_private(tag: int) -> bool:
    """All but those of a maker's own, which no pixel depends on, and those of the patient."""
    return not (tag & 0x10000 or tag >> 16 in _OF_PATIENTS)


@dataclass(frozen=True)
class Plain:
    """What a file holds before its pixels."""

    meta: Elements  # of the file meta information
    elements: Elements
    implicit: bool
    pixels: int  # tag of the element of pixels that follows
    at: int  # where that begins
    encoding: str | list[str]  # of its texts, as pydicom names it

    @property
    def syntax(self) -> str:
        """TransferSyntaxUID."""
        return _syntax(self.meta).decode("ascii")

    def dataset(self) -> Dataset:
        """The elements as pydicom would hold them, without those of the meta information."""
        made = Dataset(self.elements)
        made.set_original_encoding(self.implicit, True, self.encoding)
        return made

    def file(self) -> Dataset:
        """The same with them."""
        made = self.dataset()
        made.file_meta = FileMetaDataset(self.meta)
        made.file_meta.set_original_encoding(False, True, default_encoding)
        return made


def parsed(start: bytes, wanted: Wanted = everything) -> Plain | None:
    """The beginning of a file up to its pixels, which have to begin within `start`.

    Kept are elements whose tags are `wanted`, and SpecificCharacterSet.
    """
    try:
        meta, at = _meta(start)
        implicit = _syntax(meta) == _IMPLICIT
        elements: Elements = {}
        at, pixels = _read(start, at, PIXELS, implicit, wanted, elements)
        encoding = _encoding(elements)
    # what this or pydicom's own parser of sequences stumbles over is met again by pydicom's
    except Exception:
        return None
    return Plain(meta, elements, implicit, pixels, at, encoding) if pixels else None


def whole(stream: BinaryIO, wanted: Wanted = everything) -> Plain | None:
    """All that is wanted of a file whose pixels begin in its first bytes.

    Pixel Data are read once, into their own memory.
    """
    start = stream.read(FIRST)
    plain = parsed(start, wanted)
    if plain is None or plain.pixels != _PIXEL_DATA:
        return None
    try:
        _take_pixels(stream, start, plain, wanted)
    except Exception:
        return None
    return plain


def _take_pixels(stream: BinaryIO, start: bytes, plain: Plain, wanted: Wanted) -> None:
    """The Pixel Data and what follows them, into the elements."""
    _, vr, length, at = _head(start, plain.at, plain.implicit)
    if length == _UNDEFINED:
        _by_pydicom(stream, plain.at, plain.implicit, plain.elements)
    else:
        stream.seek(at)
        value = stream.read(length)
        if not length or len(value) < length:
            raise _Odd
        known = same_tag(_PIXEL_DATA)
        plain.elements[known] = RawDataElement(known, vr, length, value, at, plain.implicit, True)
    rest = stream.read()
    _read(rest, 0, _NO_MORE, plain.implicit, wanted, plain.elements)


def _meta(start: bytes) -> tuple[Elements, int]:
    """Explicit VR little endian, as long as it says, and of a syntax that is read here."""
    if start[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        raise _Odd
    end = _META_ENDS + _LENGTH.unpack_from(start, 140)[0]
    meta: Elements = {}
    if end + 8 > len(start):
        raise _Odd
    _read(start[:end], 132, _NO_MORE, False, everything, meta)
    syntax = _syntax(meta)
    numbers = syntax.replace(b".", b"").isdigit()
    known = syntax in (_IMPLICIT, _EXPLICIT, _RLE) or (syntax.startswith(_COMPRESSED) and numbers)
    if (
        not known
        or any(tag >> 16 != 2 for tag in meta)
        or start[end : end + 2] in (b"\0\0", b"\2\0")
    ):
        raise _Odd
    return meta, end


def _syntax(meta: Elements) -> bytes:
    value = meta[same_tag(_SYNTAX)].value
    return value.rstrip(b"\0") if isinstance(value, bytes) else b""


def _read(
    content: bytes,
    at: int,
    stop: int,
    implicit: bool,
    wanted: Wanted,
    elements: Elements,
) -> tuple[int, int]:
    """Elements from `at` on into `elements`, or to one with a tag of `stop` or more.

    Gives where it ended, and that tag or 0.
    """
    end, tags, new, made = len(content), same_tag, tuple.__new__, RawDataElement
    if implicit and at < end and content[at + 4] in _LETTERS and content[at + 5] in _LETTERS:
        raise _Odd  # it may be explicit
    while at < end:
        tag, vr, length, begins = _head(content, at, implicit)
        if tag >= stop:
            return at, tag
        keep = wanted(tag) or tag == _CHARSET
        if length == _UNDEFINED:
            at = (
                _by_pydicom(io.BytesIO(content), at, implicit, elements)
                if keep
                else _end_of_items(content, begins, vr or _known_vr(tag), implicit)
            )
            continue
        at = begins + length
        if keep:
            value = content[begins:at] if length else empty_value_for_VR(vr, raw=True)
            known = tags(tag)
            elements[known] = new(
                made, (known, vr, length, value, begins, implicit, True, True, False)
            )
    if at != end:
        raise _Odd
    return at, 0


def _head(content: bytes, at: int, implicit: bool) -> tuple[int, str | None, int, int]:
    """Tag, VR, length, and where the value begins."""
    if implicit:
        group, element, length = _IMPLICIT_HEAD.unpack_from(content, at)
        if group == 0xFFFE:
            raise _Odd
        return group << 16 | element, None, length, at + 8
    group, element, code, length = _EXPLICIT_HEAD.unpack_from(content, at)
    vr, long = _VRS[code]
    if long:
        return group << 16 | element, vr, _LENGTH.unpack_from(content, at + 8)[0], at + 12
    return group << 16 | element, vr, length, at + 8


def _known_vr(tag: int) -> str:
    """Of a sequence of implicit VR; one of a maker's own is seen by its items."""
    return "SQ" if tag & 0x10000 else dictionary_VR(tag)


def _by_pydicom(stream: BinaryIO, at: int, implicit: bool, elements: Elements) -> int:
    """An element of undefined length; where it ends."""
    stream.seek(at)
    encoding = _encoding(elements)
    with disable_value_validation():  # its warnings quote values, which may name a patient
        element = next(data_element_generator(stream, implicit, True, encoding=encoding))
    elements[same_tag(int(element.tag))] = element
    return stream.tell()


def _end_of_items(content: bytes, at: int, vr: str, implicit: bool) -> int:
    """Where a sequence of undefined length ends that begins at `at`."""
    if vr != "SQ":
        raise _Odd
    while True:
        group, element, length = _IMPLICIT_HEAD.unpack_from(content, at)
        at += 8
        tag = group << 16 | element
        if tag == _ITEMS_END and not length:
            return at
        if tag != _ITEM or at + 8 > len(content):
            raise _Odd
        at = _end_of_item(content, at, None if length == _UNDEFINED else at + length, implicit)


def _end_of_item(content: bytes, at: int, end: int | None, implicit: bool) -> int:
    """Where an item ends whose elements begin at `at`; `end` where it says so."""
    if implicit and content[at + 4] in _LETTERS and content[at + 5] in _LETTERS:
        raise _Odd
    while end is None or at < end:
        if end is None and content[at : at + 8] == _ENDED:
            return at + 8
        tag, vr, length, begins = _head(content, at, implicit)
        if tag == _CHARSET:  # pydicom judges it
            raise _Odd
        at = (
            begins + length
            if length != _UNDEFINED
            else _end_of_items(content, begins, vr or _known_vr(tag), implicit)
        )
    if at != end or at > len(content):
        raise _Odd
    return at


def _encoding(elements: Elements) -> str | list[str]:
    """As pydicom knows the characters of a data set that states one set, or none."""
    element = elements.get(same_tag(_CHARSET))
    if element is None:
        return default_encoding
    text = (element.value or b"").decode("ascii").rstrip(" \0")
    if text not in python_encoding:
        raise _Odd
    return list(convert_encodings(text))
