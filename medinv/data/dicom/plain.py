"""Reads plain data sets quickly: little endian, whole in memory, with nothing odd about them.

pydicom's parser reads whatever there is and takes several times as long. What is plain comes out as
it would have read it, element by element; of anything else nothing comes, and pydicom reads it.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from struct import Struct
from typing import cast

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.uid import PrivateTransferSyntaxes
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string, converters

_START = 132  # of the file meta information, behind 128 bytes of preamble and DICM
_IMPLICIT = "1.2.840.10008.1.2"
_NOT_EXPLICIT_LITTLE = {_IMPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
_UNDEFINED = 0xFFFFFFFF
_CHARSET = 0x00080005
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00008  # the first of the elements that hold pixels
_head = Struct("<HH2sH").unpack_from
_implicit_head = Struct("<HHI").unpack_from
_length = Struct("<I").unpack_from
_NAMES = {vr.encode(): str(vr) for vr in converters}
_LONG = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}
_tags: dict[int, BaseTag] = {}  # pydicom's tags are slow to make

Elements = dict[BaseTag, RawDataElement | DataElement]


class _Odd(Exception):
    """Something that is left to pydicom."""


@dataclass(frozen=True)
class Plain:
    """A file whose elements were read, and where that ended: `stopped` is the tag there."""

    meta: Elements
    syntax: str
    elements: Elements
    encoding: list[str] | str
    stopped: int | None

    @property
    def implicit(self) -> bool:
        """Whether the elements do not state what their values are."""
        return self.syntax == _IMPLICIT

    def meta_dataset(self) -> FileMetaDataset:
        """The file meta information likewise."""
        made = FileMetaDataset(Dataset(self.meta))
        made.set_original_encoding(False, True, default_encoding)
        return made

    def dataset(self) -> Dataset:
        """The elements as pydicom's reader hands them on."""
        made = Dataset(self.elements, parent_encoding=default_encoding)
        made.set_original_encoding(self.implicit, True, self.encoding)
        return made


def read_plain(
    data: bytes,
    wanted: Collection[int] | None = None,
    *,
    stop: int | None = None,
    whole: bool = False,
) -> Plain | None:
    """The elements of a file's bytes, those of `wanted` alone, up to the first from `stop` on.

    whole: sequences that do not state their length are parsed at once, as pydicom does; else they
    are when they are looked at. None unless all is plain: the preamble, the meta information with
    its length, a little endian syntax that is not deflated, known VRs, no element beyond the end.
    """
    try:
        return _read(data, _Wish(wanted, stop, whole))
    except Exception:  # _Odd, or what damage leads to: pydicom meets it again
        return None


def plain_file(data: bytes) -> FileDataset | None:
    """What `pydicom.dcmread` makes of a file's bytes; None unless all is plain."""
    read = read_plain(data, whole=True)
    if read is None:
        return None
    within, start = read.dataset(), data[:128]
    made = FileDataset(io.BytesIO(data), within, start, read.meta_dataset(), read.implicit, True)
    made.set_original_encoding(read.implicit, True, within._character_set)
    return made


@dataclass(frozen=True)
class _Wish:
    wanted: Collection[int] | None = None
    stop: int | None = None
    whole: bool = False


def _read(data: bytes, wish: _Wish) -> Plain:
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        raise _Odd
    end = _START + 12 + _length(data, _START + 8)[0]
    if end > len(data):
        raise _Odd
    found, _, _ = _elements(data[:end], _START, False, _Wish())
    if any(tag >> 16 != 2 for tag in found):
        raise _Odd
    stated = found.get(BaseTag(0x00020010))
    syntax = stated.value.decode("latin-1").strip(" \0") if stated and stated.value else ""
    implicit = syntax == _IMPLICIT
    known = syntax.startswith(_IMPLICIT) and syntax not in PrivateTransferSyntaxes
    if not known or (syntax in _NOT_EXPLICIT_LITTLE and not implicit):
        raise _Odd
    _check_first(data, end, implicit)
    elements, encoding, stopped = _elements(data, end, implicit, wish)
    return Plain(found, syntax, elements, encoding, stopped)


def _check_first(data: bytes, at: int, implicit: bool) -> None:
    """The first element is no command or more meta information, and of the kind the syntax says."""
    group, _, vr, _ = _head(data, at) if at + 8 <= len(data) else (0, 0, b"", 0)
    named = len(vr) == 2 and all(0x40 < letter < 0x5B for letter in vr)
    if group < 3 or named == implicit:
        raise _Odd


def _elements(
    data: bytes, at: int, implicit: bool, wish: _Wish
) -> tuple[Elements, list[str] | str, int | None]:
    """Elements from `at` to the end or the tag `stop`, the encoding of texts, and that tag."""
    found: Elements = {}
    encoding: list[str] | str = default_encoding
    wanted, stop, end = wish.wanted, wish.stop, len(data)
    while at < end:
        if at + 8 > end:
            raise _Odd
        if implicit:
            group, element, length = _implicit_head(data, at)
            vr, at = None, at + 8
        else:
            group, element, code, length = _head(data, at)
            vr, at = _NAMES.get(code), at + 8
            if vr is None or (code in _LONG and at + 4 > end):
                raise _Odd
            if code in _LONG:
                length, at = _length(data, at)[0], at + 4
        number = group << 16 | element
        if stop is not None and number >= stop:
            return found, encoding, number
        if group == 0xFFFE:
            raise _Odd
        take = wanted is None or number in wanted or number == _CHARSET
        tag = _tags.get(number) or _tags.setdefault(number, BaseTag(number))
        if length == _UNDEFINED:
            if vr != "SQ":
                raise _Odd
            if wish.whole:
                sequence, after = _sequence(data, at, encoding)
                found[tag] = DataElement(tag, "SQ", sequence, at, is_undefined_length=True)
            else:
                after = _behind_items(data, at)
                if take:
                    held = data[at : after - 8]
                    found[tag] = RawDataElement(tag, vr, len(held), held, at, implicit, True)
            at = after
            continue
        if at + length > end:
            raise _Odd
        if take:
            value = data[at : at + length] if length else _empty(vr)
            if number == _CHARSET:
                encoding = list(_encodings(value or b""))
            found[tag] = RawDataElement(tag, vr, length, value, at, implicit, True)
        at += length
    return found, encoding, None


def _sequence(data: bytes, at: int, encoding: list[str] | str) -> tuple[pydicom.Sequence, int]:
    """A sequence that does not state its length, of explicit VRs, and where it ends."""
    stream = io.BytesIO(data)
    stream.seek(at)
    return read_sequence(stream, False, True, _UNDEFINED, encoding), stream.tell()


def _behind_items(data: bytes, at: int) -> int:
    """Where a sequence of explicit VRs ends that does not state its length."""
    while True:
        tag, length = _item(data, at)
        at += 8
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM:
            raise _Odd
        at = _behind_elements(data, at) if length == _UNDEFINED else at + length


def _behind_elements(data: bytes, at: int) -> int:
    """The same of an item."""
    while True:
        if _item(data, at)[0] == _END_OF_ITEM:
            return at + 8
        _, _, code, length = _head(data, at)
        at += 8
        if code in _LONG:
            length, at = _length(data, at)[0], at + 4
        elif code not in _NAMES:
            raise _Odd
        if length != _UNDEFINED:
            at += length
        elif code == b"SQ":
            at = _behind_items(data, at)
        else:
            raise _Odd


def _item(data: bytes, at: int) -> tuple[int, int]:
    if at + 12 > len(data):
        raise _Odd
    group, element, length = _implicit_head(data, at)
    return group << 16 | element, length


@cache
def _empty(vr: str | None) -> bytes | None:
    return cast(bytes | None, empty_value_for_VR(vr, raw=True))


@lru_cache(64)
def _encodings(value: bytes) -> tuple[str, ...]:
    return tuple(convert_encodings(convert_string(value, True)))
