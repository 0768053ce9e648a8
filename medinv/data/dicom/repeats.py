"""Images that are given twice: the same content is read once, other content under one UID is
refused, never dropped."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from medinv.data.dicom.archive import FAULTS
from medinv.data.dicom.location import Location
from medinv.data.dicom.records import Instance, Skipped
from medinv.errors import MedinvError, RepeatedUidError

DUPLICATE, SAME_AS = "duplicate", "the same content as "  # code and message of a copy
_PIECE = 1 << 20  # bytes read at a time
_META = b"\x02\x00\x00\x00UL"  # starts the file meta information, which states its own length


@dataclass(frozen=True)
class Repeats:
    """By location: copies of images that are kept, and images whose UID another one has."""

    copies: dict[Location, Skipped]
    clashes: dict[Location, RepeatedUidError]


def find_repeats(instances: Iterable[Instance]) -> Repeats:
    """Look into the files whose UID (shape and size, where there is none) is met more than once,
    in order of source."""
    alike: dict[Hashable, list[Instance]] = defaultdict(list)
    for instance in sorted(instances, key=lambda one: (one.source, one.location)):
        alike[_identity(instance)].append(instance)
    repeats = Repeats({}, {})
    for group in alike.values():
        if len(group) > 1:
            _settle(group, repeats)
    return repeats


def _settle(group: list[Instance], repeats: Repeats) -> None:
    first: dict[str, Instance] = {}
    for instance in group:
        original = first.setdefault(_digest(instance), instance)
        if original is not instance:
            repeats.copies[instance.location] = Skipped(
                instance.source,
                instance.study_uid,
                instance.sop_uid,
                DUPLICATE,
                f"{SAME_AS}{original.source}",
            )
    if len(first) > 1 and group[0].format == "dicom":
        kept = list(first.values())
        for instance in kept:
            other = next(one for one in kept if one is not instance)
            repeats.clashes[instance.location] = RepeatedUidError(
                f"{len(kept)} files that differ share one SOP Instance UID (also that of "
                f"{other.source}): hand in the right one, or correct the UIDs",
                path=instance.source,
            )


def _identity(instance: Instance) -> Hashable:
    if instance.format == "dicom":
        return instance.sop_uid
    try:
        size = instance.location.size()
    except (OSError, MedinvError, KeyError):  # it is gone, which reading will say
        return instance.location
    return (
        instance.format,
        size,
        instance.rows,
        instance.columns,
        instance.frames,
        instance.geometry,
    )


def _digest(instance: Instance) -> str:
    """Of the data set, without preamble and file meta information, which every archive writes
    anew."""
    digest = hashlib.sha256(instance.transfer_syntax.encode())
    try:
        with instance.location.open() as stream:
            start = stream.read(144)
            if start[128:132] == b"DICM" and start[132:138] == _META:
                skipped = 144 + int.from_bytes(start[140:144], "little")
                start = b""
                stream.seek(skipped)
            digest.update(start[132:] if start[128:132] == b"DICM" else start)
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except (*FAULTS, MedinvError):  # what cannot be read is like nothing else; reading will say so
        return repr(instance.location)
    return digest.hexdigest()
