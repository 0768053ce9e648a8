"""The grey scale of a presentation state: the tables and the window that the image was read by.

The library copies windows and rescale from the image's header, calls every VOI LUT one of 16 bits,
whatever its entries fill, and leaves a Modality LUT out. Here a state says what was shown.
"""

from typing import Any

import highdicom as hd
import numpy as np
from highdicom import pr
from pydicom import DataElement, Dataset

from medinv.data.dicom.fields import Fields, tag_of
from medinv.data.dicom.grey import (
    lookup_table,
    lowest_value,
    modality_values,
    usable_window,
    voi_levels,
)

_WORD = 16  # bits
_WHITE = (1 << _WORD) - 1
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction")
_RESCALE = ("RescaleSlope", "RescaleIntercept", "RescaleType")


def grey_scale(header: Dataset) -> tuple[Dataset, dict[str, Any]]:
    """A header whose grey scale elements can be copied as they are, and the arguments of a
    presentation state for the rest (PS3.3 C.11.1, C.11.2, C.11.8).

    Where a table takes part, all becomes one VOI LUT of the stored values.
    """
    fields, bits = Fields(header), int(header.get("BitsStored") or _WORD)
    signed = header.get("PixelRepresentation") == 1
    lowest = lowest_value(fields, bits, signed=signed)
    modality = _usable(fields, "ModalityLUTSequence", signed=signed)
    if bits <= _WORD and (modality or _usable(fields, "VOILUTSequence", signed=lowest < 0)):
        lut = _composed(fields, bits, signed=signed)
        shown = [pr.SoftcopyVOILUTTransformation(voi_luts=[lut])]
        return _without(header, (*_TABLES, *_WINDOW, *_RESCALE)), {"voi_lut_transformations": shown}
    without: tuple[str, ...] = _TABLES
    if usable_window(fields) is None:
        without += _WINDOW
    if not all(fields.numbers(keyword, 1) for keyword in _RESCALE[:2]):
        without += _RESCALE
    return _without(header, without), {}


def _usable(fields: Fields, keyword: str, *, signed: bool) -> bool:
    items = fields.sequence(keyword)
    return bool(items) and lookup_table(items[0], signed=signed) is not None


def _without(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    rest = Dataset()
    rest.update({element.tag: element for element in header if element.keyword not in keywords})
    return rest


def _composed(fields: Fields, bits: int, *, signed: bool) -> hd.VOILUT:
    """From every stored value to all of 16 bits.

    Readers stretch a table by the highest bit that its entries fill. Where no value is bright, one
    entry beyond the highest value, which no pixel reaches, keeps the scale.
    """
    first = -(1 << bits - 1) if signed else 0
    stored = np.arange(first, first + (1 << bits), dtype="i4" if signed else "u4")
    values, _ = modality_values(stored, fields)
    lowest = lowest_value(fields, bits, signed=signed)
    levels, _ = voi_levels(values, fields, np.ones(values.shape, bool), lowest)
    entries = np.rint(levels * _WHITE).astype("<u2")
    if entries.max() <= _WHITE // 2 and len(entries) < 1 << _WORD:
        entries = np.append(entries, np.uint16(_WHITE))
    lut = hd.VOILUT(0, entries)
    count, tag = int(lut.LUTDescriptor[0]), tag_of("LUTDescriptor")
    if first < 0 and count >= 1 << _WORD - 1:
        count -= 1 << _WORD  # the number of entries is unsigned, in whatever way it is written
    lut[tag] = DataElement(tag, "SS" if first < 0 else "US", [count, first, _WORD])
    return lut
