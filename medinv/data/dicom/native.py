"""The pixels of plain uncompressed grey files, without the parts of the file that they do not need: most of what pydicom takes is for those."""

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from medinv.data.dicom.records import Instance
from medinv.data.dicom.scan import UNDEFINED, scan, tag_of

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # implicit and explicit VR, little endian
_KEYWORDS = (
    "TransferSyntaxUID", "SpecificCharacterSet", "SOPInstanceUID", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "SmallestImagePixelValue", "LargestImagePixelValue", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PresentationLUTShape",
)  # fmt: skip
_WANTED = {int(tag): tag for tag in map(tag_of, _KEYWORDS)}
_PIXEL_DATA = BaseTag(0x7FE00010)
_PADDING = {False: b"\xfc\xff\xfc\xffOB\0\0", True: b"\xfc\xff\xfc\xff"}  # the head of DataSetTrailingPadding, explicit and implicit


def is_native(instance: Instance) -> bool:
    """Uncompressed grey levels of whole bytes, little endian."""
    return instance.transfer_syntax in SYNTAXES and instance.samples == 1 and instance.photometric != "PALETTE COLOR" and instance.bits_allocated in (8, 16)


def image_elements(content: bytes, instance: Instance) -> Dataset | None:
    """What grey levels are made of; the Pixel Data are a view of `content`. None unless the file is plain, holds what was indexed, and ends with the pixels (or padding)."""
    found = scan(content, _WANTED) if is_native(instance) else None
    if found is None or found.pixels != _PIXEL_DATA or found.length == UNDEFINED:
        return None
    implicit, end = found.pixels_vr is None, found.start + found.length
    if not content[end:].startswith(_PADDING[implicit]) and end != len(content) or not _ends(content, end, 8 if implicit else 12):
        return None
    if (_uid(found.meta.get(tag_of("TransferSyntaxUID"))), _uid(found.elements.get(tag_of("SOPInstanceUID")))) != (instance.transfer_syntax, instance.sop_uid):
        return None
    pixels = memoryview(content)[found.start : end]
    found.elements[_PIXEL_DATA] = RawDataElement(_PIXEL_DATA, found.pixels_vr, found.length, pixels, found.start, implicit, True)
    return Dataset(found.elements)


def _ends(content: bytes, position: int, head: int) -> bool:
    """The file ends here, or with the one element that starts here."""
    rest = len(content) - position
    return rest == 0 or (rest >= head and int.from_bytes(content[position + head - 4 : position + head], "little") == rest - head)


def _uid(element: RawDataElement | None) -> str:
    return (element.value or b"").decode("latin-1").strip(" \0") if element else ""
