"""Finds the files that were handed in: each is met once, whatever it is."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from medinv.data.dicom import archive, dicomdir
from medinv.data.dicom.location import Location
from medinv.data.dicom.manifest import Row, is_manifest, read_manifest
from medinv.data.dicom.records import Broken, Skipped
from medinv.errors import DataError, MedinvError, MissingDataError

_DICOMDIR = "DICOMDIR"


@dataclass(frozen=True)
class Candidate:
    """A file to look into.

    `named`: the user or a DICOMDIR named it or its name ends in .dcm, so that it is expected to be
    DICOM.
    """

    location: Location
    named: bool
    study: str | None = None  # that a manifest puts it in


Found = Candidate | Skipped | Broken


def walk(inputs: Sequence[Path], limits: archive.Limits = archive.LIMITS) -> Iterator[Found]:
    """Every file under the inputs (files, folders, zips, DICOMDIRs, CSV lists of these), once
    each. Never raises for a single file.

    A list and a zip stand for what they hold and are not counted themselves, unless they hold
    nothing or cannot be read.
    """
    given = {place_of(path): Path(path) for path in inputs}
    visit = _Visit(set(given), limits)
    lists = {path for path in given.values() if is_manifest(path) and os.path.isfile(path)}
    for path in sorted(
        given.values(), key=lambda path: (path not in lists, path)
    ):  # lists first: they may say which study a file belongs to
        yield from visit.manifest(path) if path in lists else visit.tree(path)


@dataclass(frozen=True)
class _Visit:
    """One walk, which remembers where it was.

    `seen`: by where a file lies (whatever links led there), the study that it was taken for.
    """

    named: set[str]
    limits: archive.Limits
    seen: dict[str, str | None] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def _place(self, path: Path) -> str:
        return place_of(path, self.folders)

    def manifest(self, path: Path) -> Iterator[Found]:
        empty = True
        for row in read_manifest(path):
            empty = False
            if isinstance(row, Broken):
                yield row
            elif os.path.exists(row.path):
                self.named.add(self._place(row.path))
                yield from self.tree(row.path, row)
            elif self._claim(row.path, row):
                source = Location(row.path).source
                yield Broken(
                    source,
                    row.study,
                    MissingDataError(
                        f"{row.source}: no such file or folder, or no right to see it", path=source
                    ),
                )
        if empty:
            yield Skipped(
                Location(path).source, None, None, "empty-list", "the list names no files"
            )

    def tree(self, given: Path, row: Row | None = None) -> Iterator[Found]:
        """A file, or all files below a folder."""
        study, empty = None if row is None else row.study, True
        for path in _files_below(given) if os.path.isdir(given) else [given]:
            empty = False
            if isinstance(path, (Skipped, Broken)):
                yield path
            elif self._claim(path, row):
                yield from self._file(path, study)
            elif study != self.seen[self._place(path)] and row is not None:
                source = f"{row.source}: {Location(path).source}"
                yield Broken(
                    source,
                    None,
                    DataError(
                        "this file was listed before, for another study: the first is taken",
                        path=source,
                    ),
                )
        if empty:
            yield Skipped(
                Location(given).source, study, None, "empty-folder", "the folder holds no files"
            )

    def _claim(self, path: Path, row: Row | None = None) -> bool:
        """True the first time."""
        place = self._place(path)
        if place in self.seen:
            return False
        self.seen[place] = None if row is None else row.study
        return True

    def _file(self, path: Path, study: str | None) -> Iterator[Found]:
        """What one file on disk stands for: itself, the members of a zip, or what a DICOMDIR
        lists."""
        location, named = Location(path), self._place(path) in self.named
        if not os.path.isfile(path):
            if os.path.exists(path):
                yield Skipped(
                    location.source,
                    study,
                    None,
                    "not-a-file",
                    "a device, pipe or socket, not a file",
                )
            else:
                yield Broken(
                    location.source,
                    study,
                    MissingDataError(
                        "no such file or folder, or no right to see it", path=location.source
                    ),
                )
        elif path.suffix.lower() == ".zip" or (named and archive.looks_like_zip(path)):
            yield from _members(path, study, self.limits)
        elif (named or path.name.upper() == _DICOMDIR) and dicomdir.is_dicomdir(location):
            yield from self._listed(location, study)
        else:
            yield Candidate(location, named or _expected(path.name), study)

    def _listed(self, location: Location, study: str | None) -> Iterator[Found]:
        """A DICOMDIR and the files that it lists."""
        try:
            listed = list(dict.fromkeys(dicomdir.references(location)))
        except MedinvError as error:
            yield Broken(location.source, study, error)
            return
        names = cache(dicomdir.capitals)
        paths = [dicomdir.on_disk(location, parts, names) for parts in listed]
        yield dicomdir.verdict(
            location,
            study,
            ["/".join(parts) for parts, path in zip(listed, paths, strict=True) if path is None],
            [str(path) for path in paths if path and not os.path.isfile(path)],
            len(listed),
        ) or Candidate(location, True, study)
        for path in paths:
            if path and os.path.isfile(path) and self._claim(path):
                yield Candidate(Location(path), True, study)


def place_of(path: Path, folders: dict[str, str] | None = None) -> str:
    """Where a file lies: one string for all the ways to it, through links and `..`.

    `folders` remembers where folders lie.
    """
    folder, name = os.path.split(os.path.abspath(path))
    folders = {} if folders is None else folders
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    place = os.path.join(folders[folder], name)
    return os.path.realpath(place) if os.path.islink(place) else place


def _files_below(folder: Path) -> Iterator[Path | Skipped | Broken]:
    """Files in a folder and its folders.

    A linked folder is not entered (it may lead in circles), one that cannot be listed is broken.
    """
    folders = [folder]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(
                os.scandir(folder), key=lambda entry: (entry.name.upper() != _DICOMDIR, entry.name)
            )
        except OSError as error:
            source = Location(folder).source
            yield Broken(
                source,
                None,
                DataError(f"the folder cannot be listed: {error.strerror}", path=source),
            )
            continue
        for entry in entries:
            path = Path(entry.path)
            if not (
                entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(path))
            ):
                yield path
            elif entry.is_symlink():
                reason = "a link to a folder is not followed: name the folder itself"
                yield Skipped(Location(path).source, None, None, "linked-folder", reason)
            else:
                folders.append(path)


def _members(path: Path, study: str | None, limits: archive.Limits) -> Iterator[Found]:
    try:
        members = archive.members(path, limits)
    except MedinvError as error:
        yield Broken(Location(path).source, study, error)
        return
    if not members:
        yield Skipped(Location(path).source, study, None, "empty-archive", "the zip holds no files")
    names = frozenset(name.upper() for name, _ in members)
    for name, refusal in members:
        location = Location(path, name)
        if refusal is not None:
            yield Broken(location.source, study, refusal)
        elif name.lower().endswith(".zip"):
            yield Skipped(
                location.source,
                study,
                None,
                "nested-archive",
                "a zip within a zip is not opened: unpack the outer one",
            )
        elif name.rpartition("/")[2].upper() == _DICOMDIR and dicomdir.is_dicomdir(location):
            yield from _listed_in_zip(location, study, names)
        else:
            yield Candidate(location, _expected(name.rpartition("/")[2]), study)


def _listed_in_zip(location: Location, study: str | None, names: frozenset[str]) -> Iterator[Found]:
    """A DICOMDIR within a zip, judged by what the zip holds, which is met anyway."""
    try:
        listed = list(dict.fromkeys(dicomdir.references(location)))
    except MedinvError as error:
        yield Broken(location.source, study, error)
        return
    members = [dicomdir.member_name(location, parts) for parts in listed]
    yield dicomdir.verdict(
        location,
        study,
        ["/".join(parts) for parts, name in zip(listed, members, strict=True) if name is None],
        [name for name in members if name and name.upper() not in names],
        len(listed),
    ) or Candidate(location, True, study)


def _expected(name: str) -> bool:
    """A .dcm file is expected to be DICOM, but not the `._x.dcm` that macOS leaves beside it."""
    return name.lower().endswith(".dcm") and not name.startswith("._")
