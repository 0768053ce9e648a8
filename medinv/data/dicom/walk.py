"""Finds the files that were handed in: each is met once, whatever it is."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medinv.data.dicom import archive
from medinv.data.dicom.location import Location
from medinv.data.dicom.records import Broken, Skipped
from medinv.errors import DataError, MedinvError, MissingDataError


@dataclass(frozen=True)
class Candidate:
    """A file to look into. `named`: the user named it or its name ends in .dcm, so that it is expected to be DICOM."""

    location: Location
    named: bool


def walk(inputs: Sequence[Path], limits: archive.Limits = archive.LIMITS) -> Iterator[Candidate | Skipped | Broken]:
    """Every file under the inputs (files, folders, zips), once each. Never raises for a single file."""
    named = {_absolute(path): Path(path) for path in inputs}
    seen: set[Path] = set()
    for given in sorted(named.values()):
        for path in _files_below(given) if os.path.isdir(given) else [given]:
            if isinstance(path, (Skipped, Broken)):
                yield path
            elif (absolute := _absolute(path)) not in seen:
                seen.add(absolute)
                yield from _entries(path, absolute in named, limits)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _files_below(folder: Path) -> Iterator[Path | Skipped | Broken]:
    """Files in a folder and its folders. A linked folder is not entered (it may lead in circles), one that cannot be listed is broken."""
    folders = [folder]
    while folders:
        folder = folders.pop()
        try:
            paths = sorted(Path(entry.path) for entry in os.scandir(folder))
        except OSError as error:
            source = Location(folder).source
            yield Broken(source, None, DataError(f"the folder cannot be listed: {error.strerror}", path=source))
            continue
        for path in paths:
            if not os.path.isdir(path):
                yield path
            elif os.path.islink(path):
                reason = "a link to a folder is not followed: name the folder itself"
                yield Skipped(Location(path).source, None, None, "linked-folder", reason)
            else:
                folders.append(path)


def _entries(path: Path, named: bool, limits: archive.Limits) -> Iterator[Candidate | Skipped | Broken]:
    """What one file on disk stands for: itself, or the members of a zip."""
    location = Location(path)
    if not os.path.exists(path):
        yield Broken(location.source, None, MissingDataError("no such file or folder, or no right to see it", path=location.source))
    elif not os.path.isfile(path):
        yield Skipped(location.source, None, None, "not-a-file", "a device, pipe or socket, not a file")
    elif path.suffix.lower() == ".zip" or (named and archive.looks_like_zip(path)):
        yield from _members(path, limits)
    else:
        yield Candidate(location, named or _expected(path.name))


def _members(path: Path, limits: archive.Limits) -> Iterator[Candidate | Skipped | Broken]:
    try:
        members = archive.members(path, limits)
    except MedinvError as error:
        yield Broken(Location(path).source, None, error)
        return
    for name, error in members:
        location = Location(path, name)
        if error is not None:
            yield Broken(location.source, None, error)
        elif name.lower().endswith(".zip"):
            yield Skipped(location.source, None, None, "nested-archive", "a zip within a zip is not opened: unpack the outer one")
        else:
            yield Candidate(location, _expected(name.rpartition("/")[2]))


def _expected(name: str) -> bool:
    """A .dcm file is expected to be DICOM, but not the `._x.dcm` that macOS leaves beside it."""
    return name.lower().endswith(".dcm") and not name.startswith("._")
