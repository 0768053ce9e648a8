"""Header values that need a second place or another alphabet: view, b-value, descriptions."""

import struct

from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from medinv.data.dicom.charset import decode
from medinv.data.dicom.fields import Fields

# ViewPosition of the codes (SCT and the older SRT) in ViewCodeSequence, PS3.16 CID 4010.
_VIEWS = {
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-10214": "PA", "R-40888": "PA",
    "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL",
}  # fmt: skip

# Where manufacturers keep the b-value: creator of the block, its element, the b-value's element.
# Siemens, Philips, GE.
_B_VALUES = (
    ("SIEMENS MR HEADER", Tag(0x0019, 0x0010), Tag(0x0019, 0x100C)),
    ("Philips Imaging DD 001", Tag(0x2001, 0x0010), Tag(0x2001, 0x1003)),
    ("GEMS_PARM_01", Tag(0x0043, 0x0010), Tag(0x0043, 0x1039)),
)
_GE_OFFSET = 100_000  # some GE versions add a multiple of it
PRIVATE_TAGS = [tag for _, *tags in _B_VALUES for tag in tags]
_LONGEST = 64


def view(fields: Fields) -> str | None:
    """ViewPosition, or what ViewCodeSequence says in its place."""
    stated = fields.text("ViewPosition")
    if stated is not None:
        return stated
    codes = [Fields(item).text("CodeValue") for item in fields.sequence("ViewCodeSequence")]
    return _VIEWS.get(codes[0] or "") if len(codes) == 1 else None


def b_value(fields: Fields) -> float | None:
    """Of a diffusion image, s/mm2, from DiffusionBValue or the manufacturer's own element."""
    standard = fields.numbers("DiffusionBValue", 1)
    if standard:
        return standard[0]
    for creator, block, tag in _B_VALUES:
        owner, element = (fields.at(place) for place in (block, tag))
        if (
            isinstance(owner, RawDataElement)
            and isinstance(element, RawDataElement)
            and bytes(owner.value or b"").strip(b" \0") == creator.encode()
        ):
            return _private_number(element)
    return None


def _private_number(element: RawDataElement) -> float | None:
    data, order = element.value or b"", "<" if element.is_little_endian else ">"
    try:
        number = (
            struct.unpack(f"{order}f", data)[0]
            if element.tag.group == 0x2001
            else float(data.split(b"\\")[0])
        )
    except (struct.error, ValueError):
        return None
    number = number % _GE_OFFSET if element.tag.group == 0x0043 else number
    return number if 0 <= number < _GE_OFFSET else None


def description(fields: Fields, keyword: str) -> str | None:
    """A text in its own character set; None if absent, too long or undecodable.

    It may identify the patient.
    """
    element = fields.raw(keyword)
    if not isinstance(element, RawDataElement) or not element.value:
        return None
    terms = fields.texts("SpecificCharacterSet") or ("ISO_IR 100",)
    text = decode(element.value, terms).text.strip(" \0\t\r\n")
    return text if text and text.isprintable() and len(text) <= _LONGEST else None
