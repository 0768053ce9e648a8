"""Typed values out of a DICOM header, taken from the raw bytes: one bad element never hides the
others.

pydicom converts a value when it is first looked at, and raises or warns (quoting the value, which
may name a patient) if it does not conform. Here a value that cannot be understood is None and
leaves a warning that names the element only.
"""

import math
import struct
from functools import cache, lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_LONGEST_TEXT = 64
_REMEMBERED = 1 << 12  # values: a series repeats most of its header
_WIDEST_TEXT = 1 << 16  # no element read here is longer; a longer one is damage


@cache
def tag_of(keyword: str) -> BaseTag:
    """The tag of a keyword, always the same object: pydicom's tags are slow to compare, unless
    they are identical."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return BaseTag(number)


class Fields:
    """A header read by keyword."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.warnings: list[str] = []
        self._elements = dict(dataset.items())  # pydicom's own look-up takes several times as long

    def has(self, keyword: str) -> bool:
        """True if the element is there and not empty."""
        return bool(self._values(keyword))

    def text(self, keyword: str) -> str | None:
        """First value, stripped; None if absent or empty."""
        texts = self.texts(keyword)
        return texts[0] if texts and texts[0] else None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values, stripped.

        Values that no code, identifier or label has (long, unprintable) leave a warning: they are
        damage.
        """
        texts = _texts(self._values(keyword))
        if texts is None:
            self._unusable(keyword)
            return ()
        return texts

    def integer(self, keyword: str, *, signed: bool = False) -> int | None:
        """First value as an integer.

        `signed` settles the elements that are unsigned or signed as the pixels are.
        """
        values = self._values(keyword, signed)
        if not values:
            return None
        try:
            number = float(values[0])
            if number == int(number):
                return int(number)
        except (ValueError, OverflowError):
            pass
        self._unusable(keyword)
        return None

    def numbers(self, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
        """All values as finite floats; None if absent, or if they are not `count` finite numbers
        (a warning says so)."""
        values = self._values(keyword)
        if not values:
            return None
        numbers = _numbers(values)
        if numbers is None or count not in (None, len(numbers)):
            self._unusable(keyword)
            return None
        return numbers

    def raw(self, keyword: str) -> RawDataElement | DataElement | None:
        """The element as read, or None."""
        return self.at(tag_of(keyword))

    def at(self, tag: int) -> RawDataElement | DataElement | None:
        """The same for an element without a keyword."""
        return self._elements.get(BaseTag(tag))

    def sequence(self, keyword: str) -> list[Dataset]:
        """Items of a sequence; empty if absent. One that cannot be parsed leaves a warning."""
        if self.raw(keyword) is None:
            return []
        try:
            return list(self.dataset[keyword].value or [])
        # pydicom raises whatever its parser met: struct.error, KeyError, EOFError, RecursionError,
        # ...
        except Exception:
            self._unusable(keyword)
            return []

    def _unusable(self, keyword: str) -> None:
        warning = f"{keyword} cannot be used as it stands and was left aside"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _values(self, keyword: str, signed: bool = False) -> tuple:
        element = self._elements.get(tag_of(keyword))
        if element is None:
            return ()
        value = element.value
        if value is None:
            return ()
        if isinstance(element, DataElement):
            return (
                tuple(value)
                if isinstance(value, (list, tuple)) or hasattr(value, "_list")
                else (value,)
            )
        if not isinstance(value, (bytes, bytearray)) or len(value) > _WIDEST_TEXT:
            self._unusable(keyword)
            return ()
        read = _decoded if len(value) <= _LONGEST_TEXT else _decoded.__wrapped__
        try:
            return read(bytes(value), element.VR, element.is_little_endian, keyword, signed)
        except (struct.error, ValueError):
            self._unusable(keyword)
            return ()


@lru_cache(_REMEMBERED)
def _decoded(value: bytes, stated: str | None, little: bool, keyword: str, signed: bool) -> tuple:
    """Values of a raw element: numbers for binary VRs, strings for the others.

    Raises struct.error for a length that does not fit.
    """
    vr = stated if stated in _BINARY else dictionary_VR(tag_of(keyword))
    if vr == "US or SS":
        vr = "SS" if signed else "US"
    if vr in _BINARY and (stated is None or stated in (vr, "US", "SS", "UN", "OW", "OB")):
        code, size = _BINARY[vr], struct.calcsize(_BINARY[vr])
        if len(value) % size:
            raise struct.error("length is no multiple of the value's size")
        return struct.unpack(f"{'<' if little else '>'}{len(value) // size}{code}", value)
    text = value.decode("latin-1")
    return tuple(text.split("\\")) if text.strip(" \0") else ()


@lru_cache(_REMEMBERED)
def _texts(values: tuple) -> tuple[str, ...] | None:
    """Stripped; None if a value is none that a code, identifier or label has."""
    texts = tuple(str(value).strip(" \0\t\r\n") for value in values)
    return (
        texts if all(text.isprintable() and len(text) <= _LONGEST_TEXT for text in texts) else None
    )


@lru_cache(_REMEMBERED, typed=True)
def _numbers(values: tuple) -> tuple[float, ...] | None:
    """As floats; None unless all are finite numbers."""
    try:
        numbers = tuple(float(value) for value in values)
    except (ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
