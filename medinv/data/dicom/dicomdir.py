"""DICOMDIR: the table of contents of a medium (PS3.3 F).

It tells which files should be there, so that none is missed unnoticed.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement, RawDataElement

from medinv.data.dicom.archive import printable
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.location import Location
from medinv.data.dicom.records import Broken, Skipped
from medinv.errors import DataError, HeaderError, MissingDataError

_MEDIA_DIRECTORY = b"1.2.840.10008.1.3.10"
_IN_USE = 0xFFFF
_DELIMITERS = (
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xff\xfe\xe0\xdd\0\0\0\0",
)  # that end a sequence of undefined length, in either byte order


def is_dicomdir(location: Location) -> bool:
    """By its content. A file that cannot be opened is none."""
    try:
        with location.open() as stream:
            return _MEDIA_DIRECTORY in stream.read(1024)
    except Exception:  # whatever is wrong is said when the file's header is read
        return False


def references(location: Location) -> list[tuple[str, ...]]:
    """Folders and name of every file in use that a DICOMDIR lists, in its order.

    Raises HeaderError if it cannot be read to its end, and what `Location.read` raises.
    """
    content = location.read()
    try:
        with disable_value_validation():  # its warnings quote values, which may name a patient
            dataset = pydicom.dcmread(content, force=True)
            fields = Fields(dataset)
            whole = _is_whole(fields.raw("DirectoryRecordSequence"), content.getvalue())
            records = [Fields(item) for item in fields.sequence("DirectoryRecordSequence")]
    except Exception as error:  # pydicom's parser raises whatever it met
        raise _damaged(location) from error
    if not whole or fields.warnings:
        raise _damaged(location)
    files = [
        tuple(record.texts("ReferencedFileID"))
        for record in records
        if record.integer("RecordInUseFlag") in (None, _IN_USE)
    ]
    if any(record.warnings for record in records):
        raise _damaged(location)
    return [parts for parts in files if parts]


def _is_whole(element: RawDataElement | DataElement | None, content: bytes) -> bool:
    """The sequence of records, the last element of a DICOMDIR, is there to its end: pydicom
    keeps silent about one that is cut."""
    if isinstance(element, RawDataElement):
        return len(element.value or b"") == element.length
    return element is not None and content.endswith(_DELIMITERS)


def _damaged(location: Location) -> HeaderError:
    return HeaderError(
        "the DICOMDIR cannot be read to its end: name the folder instead, all its files are "
        "looked into",
        path=location.source,
    )


def on_disk(
    location: Location, parts: tuple[str, ...], names: Callable[[Path], dict[str, str]]
) -> Path | None:
    """The file that a DICOMDIR on disk refers to, whatever the case of its letters; it may not
    be there. None where it points to a folder or outside its own. `names`: `capitals` with a
    memory."""
    root = path = location.path.parent
    if not _inside(parts):
        return None
    for part in parts:
        exact = path / part
        path = exact if os.path.lexists(exact) else path / names(path).get(part.upper(), part)
    real = Path(os.path.realpath(path.parent))
    inside = real.is_relative_to(os.path.realpath(root))
    return path if inside and not os.path.isdir(path) else None


def capitals(folder: Path) -> dict[str, str]:
    """Names in a folder by their capitals, without the version that some media add (`;1`)."""
    try:
        return {name.upper().partition(";")[0]: name for name in sorted(os.listdir(folder))}
    except OSError:
        return {}


def member_name(location: Location, parts: tuple[str, ...]) -> str | None:
    """The member that a DICOMDIR within a zip refers to; None where it points outside its
    folder."""
    if not _inside(parts):
        return None
    return "/".join([*location.member.split("/")[:-1], *parts])


def verdict(
    location: Location, study: str | None, outside: list[str], missing: list[str], listed: int
) -> Broken | Skipped | None:
    """What is wrong with what a DICOMDIR lists, said once: its entries are not files handed in."""
    source = location.source
    error: DataError | None = None
    if outside:
        error = HeaderError(
            f"{len(outside)} of its {listed} entries point to a folder or outside the DICOMDIR's "
            f"own ({printable(outside[0])}): not visited",
            path=source,
        )
    elif missing and len(missing) == listed:
        message = (
            f"lists {listed} files, none of which lie here: hand in the folder that holds them"
        )
        return Skipped(source, study, None, "dicomdir", message)
    elif missing:
        error = MissingDataError(
            f"lists {listed} files, {len(missing)} of them are not there "
            f"({printable(missing[0])}): "
            "the copy is incomplete",
            path=source,
        )
    return None if error is None else Broken(source, study, error)


def _inside(parts: tuple[str, ...]) -> bool:
    return all(part not in ("", ".", "..") and not set(part) & set("/\\:\0") for part in parts)
