"""Typed values out of a DICOM header, taken from the raw bytes: one bad element never hides the others.

pydicom converts a value when it is first looked at, and raises or warns (quoting the value, which may name a patient) if it does not
conform. Here a value that cannot be understood is None and leaves a warning that names the element only.
"""

import math
import struct
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_tag = cache(tag_for_keyword)
_LONGEST_TEXT = 64
_WIDEST_TEXT = 1 << 16  # no element read here is longer; a longer one is damage


class Fields:
    """A header read by keyword."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.warnings: list[str] = []

    def has(self, keyword: str) -> bool:
        """True if the element is there and not empty."""
        return bool(self._values(keyword))

    def text(self, keyword: str) -> str | None:
        """First value, stripped; None if absent or empty."""
        texts = self.texts(keyword)
        return texts[0] if texts and texts[0] else None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values, stripped. Values that no code, identifier or label has (long, unprintable) leave a warning: they are damage."""
        texts = tuple(str(value).strip(" \0\t\r\n") for value in self._values(keyword))
        if all(text.isprintable() and len(text) <= _LONGEST_TEXT for text in texts):
            return texts
        return self._unusable(keyword) or ()

    def integer(self, keyword: str, *, signed: bool = False) -> int | None:
        """First value as an integer. `signed` settles the elements that are unsigned or signed as the pixels are."""
        values = self._values(keyword, signed)
        if not values:
            return None
        try:
            number = float(values[0])
            if number == int(number):
                return int(number)
        except (ValueError, OverflowError):
            pass
        return self._unusable(keyword)

    def numbers(self, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
        """All values as finite floats; None if absent, or if they are not `count` finite numbers (a warning says so)."""
        values = self._values(keyword)
        if not values:
            return None
        try:
            numbers = tuple(float(value) for value in values)
        except (ValueError, OverflowError):
            return self._unusable(keyword)
        if not all(map(math.isfinite, numbers)) or count not in (None, len(numbers)):
            return self._unusable(keyword)
        return numbers

    def raw(self, keyword: str) -> RawDataElement | DataElement | None:
        """The element as read, or None."""
        return self.dataset.get_item(_tag(keyword), keep_deferred=True)

    def sequence(self, keyword: str) -> list[Dataset]:
        """Items of a sequence; empty if absent. One that cannot be parsed leaves a warning."""
        if self.raw(keyword) is None:
            return []
        try:
            return list(self.dataset[keyword].value or [])
        except Exception:  # pydicom raises whatever its parser met: struct.error, KeyError, EOFError, RecursionError, ...
            self._unusable(keyword)
            return []

    def _unusable(self, keyword: str) -> None:
        warning = f"{keyword} cannot be used as it stands and was left aside"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _values(self, keyword: str, signed: bool = False) -> list:
        element = self.raw(keyword)
        if element is None or element.value is None:
            return []
        if isinstance(element, DataElement):
            value = element.value
            return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "_list") else [value]
        if not isinstance(element.value, (bytes, bytearray)) or len(element.value) > _WIDEST_TEXT:
            return self._unusable(keyword) or []
        try:
            return decode(element, keyword, signed)
        except (struct.error, ValueError):
            return self._unusable(keyword) or []


def decode(element: RawDataElement, keyword: str, signed: bool) -> list:
    """Values of a raw element: numbers for binary VRs, strings for the others. Raises struct.error for a length that does not fit."""
    vr = element.VR if element.VR in _BINARY else dictionary_VR(_tag(keyword))
    if vr == "US or SS":
        vr = "SS" if signed else "US"
    if vr in _BINARY and (element.VR is None or element.VR in (vr, "US", "SS", "UN", "OW", "OB")):
        code, size = _BINARY[vr], struct.calcsize(_BINARY[vr])
        if len(element.value) % size:
            raise struct.error("length is no multiple of the value's size")
        order = "<" if element.is_little_endian else ">"
        return list(struct.unpack(f"{order}{len(element.value) // size}{code}", element.value))
    text = element.value.decode("latin-1")
    return text.split("\\") if text.strip(" \0") else []
