"""The elements of a plain file, several times quicker than a general parser finds them. Whatever is not plain is left to pydicom.

Plain is what nearly every file is: the prefix, meta information of the stated length, little endian, tags in ascending order, known VRs, every length
within the data, an undefined one only of a sequence that nobody asked for. Of such a file the elements are those that pydicom gives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from struct import Struct, error

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.tag import BaseTag
from pydicom.uid import AllTransferSyntaxes

UNDEFINED = 0xFFFFFFFF  # length
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())  # VRs with a length of 16 bits
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # of 32 bits
_NAMES: dict[bytes | None, str | None] = {None: None} | {vr: vr.decode() for vr in _SHORT | _LONG}
_explicit_head, _implicit_head = Struct("<HH2sH").unpack_from, Struct("<HHL").unpack_from
_number, _item = Struct("<L").unpack_from, Struct("<LL").unpack_from
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE  # as little endian numbers
_CHARACTER_SET, _PIXELS = 0x00080005, 0x7FE00008
_META = b"DICM\x02\x00\x00\x00UL\x04\x00"  # the prefix and the length of what follows
_IMPLICIT = b"1.2.840.10008.1.2"
_OTHERS = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")  # big endian, deflated
_PLAIN = {uid.encode() for uid in AllTransferSyntaxes if uid not in _OTHERS and not uid.is_private}
_CHARACTER_SETS = {term.encode() for term in python_encoding}

Head = tuple[int, bytes | None, int, int]  # tag, VR, length, start of the value
ReadHead = Callable[[bytes, int], Head]
Elements = dict[BaseTag, RawDataElement]


@cache
def tag_of(keyword: str) -> BaseTag:
    """The tag of a keyword, always the same object: pydicom's tags are slow to compare, unless they are identical."""
    return BaseTag(tag_for_keyword(keyword))


class NotPlain(Exception):
    """For pydicom to read."""


@dataclass(frozen=True)
class Scan:
    """Elements of interest up to the pixel data, and where these lie."""

    meta: Elements
    elements: Elements
    pixels: int  # tag of the first pixel element
    pixels_vr: str | None
    start: int  # of its value
    length: int  # of its value


def scan(data: bytes, wanted: Mapping[int, BaseTag]) -> Scan | None:
    """The wanted elements of the file that `data` begins; None if the file is not plain, or its header goes on beyond them."""
    try:
        return _scan(data, wanted)
    except (NotPlain, error, RecursionError):  # error: what is asked for lies beyond the data
        return None


def _scan(data: bytes, wanted: Mapping[int, BaseTag]) -> Scan:
    if data[128:140] != _META:
        raise NotPlain
    end = 144 + _number(data, 140)[0]
    meta, beyond, position = _elements(data, (144, end), _explicit, wanted, range(0x00020001, 0x00030000))
    syntax = meta.get(tag_of("TransferSyntaxUID"))
    if beyond or position != end or syntax is None or (uid := (syntax.value or b"").strip(b" \0")) not in _PLAIN:
        raise NotPlain
    implicit = uid == _IMPLICIT
    if implicit and _letters(data[end + 4 : end + 6]):  # of what should be a length: pydicom would take them for a VR
        raise NotPlain
    elements, pixels, _ = _elements(data, (end, len(data)), _implicit if implicit else _explicit, wanted, range(0x00080000, _PIXELS))
    characters = elements.get(tag_of("SpecificCharacterSet"))
    if pixels is None or not _known(characters and characters.value):
        raise NotPlain
    tag, vr, length, start = pixels
    return Scan(meta, elements, tag, _NAMES[vr], start, length)


def _elements(data: bytes, span: tuple[int, int], read: ReadHead, wanted: Mapping[int, BaseTag], tags: range) -> tuple[Elements, Head | None, int]:
    """Wanted elements within a span, the head of the first one with a tag beyond `tags`, and where that lies. Raises NotPlain or struct.error."""
    found: Elements = {}
    (position, end), last, implicit = span, tags.start - 1, read is _implicit
    while position < end:
        head = tag, vr, length, start = read(data, position)
        if tag <= last:
            raise NotPlain
        if tag >= tags.stop:
            return found, head, position
        last = tag
        if length == UNDEFINED:
            if tag in wanted or vr not in (None, b"SQ"):
                raise NotPlain
            position = _after_sequence(data, start, read)
            continue
        position = start + length
        if position > end:
            raise NotPlain
        if tag in wanted:
            name = _NAMES[vr]
            value = data[start:position] if length else empty_value_for_VR(name, raw=True)
            found[wanted[tag]] = RawDataElement(wanted[tag], name, length, value, start, implicit, True)
    return found, None, position


def _explicit(data: bytes, position: int) -> Head:
    group, element, vr, length = _explicit_head(data, position)
    if vr in _SHORT:
        return group << 16 | element, vr, length, position + 8
    if vr in _LONG:
        return group << 16 | element, vr, _number(data, position + 8)[0], position + 12
    raise NotPlain


def _implicit(data: bytes, position: int) -> Head:
    group, element, length = _implicit_head(data, position)
    return group << 16 | element, None, length, position + 8


def _after_sequence(data: bytes, position: int, read: ReadHead) -> int:
    """Where a sequence of undefined length ends. Raises NotPlain or struct.error."""
    while True:
        tag, length = _item(data, position)
        position += 8
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM:
            raise NotPlain
        position = _after_item(data, position, read) if length == UNDEFINED else position + length


def _after_item(data: bytes, position: int, read: ReadHead) -> int:
    while _item(data, position)[0] != _ITEM_END:
        tag, vr, length, position = read(data, position)
        if tag == _CHARACTER_SET or (length == UNDEFINED and vr not in (None, b"SQ")):
            raise NotPlain
        position = _after_sequence(data, position, read) if length == UNDEFINED else position + length
    return position + 8


def _letters(pair: bytes) -> bool:
    return all(0x40 < byte < 0x5B for byte in pair)


def _known(characters: bytes | None) -> bool:
    """Whether all character sets are ones that pydicom knows."""
    return {term.strip(b" \0") for term in (characters or b"").split(b"\\")} <= _CHARACTER_SETS
