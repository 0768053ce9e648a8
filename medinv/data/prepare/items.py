"""What was handed in, image by image: what each may be called in a list, and whose it is."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medinv.config import Rules
from medinv.data.dicom.grouping import group
from medinv.data.dicom.records import Index, Instance, Study
from medinv.data.dicom.repeats import DUPLICATE, SAME_AS
from medinv.data.dicom.rules import choose
from medinv.data.dicom.walk import place_of
from medinv.data.prepare.write import Refused
from medinv.files import pseudonym

_NAMELESS = {
    DUPLICATE: "the same content as another file",
    "repeated-uid": "files that differ share one SOP Instance UID: correct the UIDs",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """An image that could stand in the set: one frame, or the slices of one volume.

    `names` are by kind, see `match.KINDS`; `owners` are equal where images are of one patient.
    """

    key: str  # tells it from every other image, the same wherever the files lie
    shown: str  # in what is said of it; identifies nobody
    names: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...] = ()  # that it lies in, from what was handed in downwards
    owners: tuple[tuple[object, ...], ...] = ()
    instances: tuple[Instance, ...] = ()
    frame: int = 1
    modality: str = ""
    manufacturer: str = ""
    position: int = -1  # in an array that was handed in, of which there are no instances


@dataclass(frozen=True)
class Gathered:
    """All images that the rules let pass, and what of the rest is said."""

    images: tuple[Found, ...]
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def gather(
    index: Index,
    rules: Rules,
    inputs: Sequence[Path],
    *,
    phi: bool = False,
    besides: str | None = None,
) -> Gathered:
    """Images of an index by the rules of a card, as a model that has it would be shown them.

    `besides` is a file that is no image and was not meant as one, such as the list of labels.
    """
    images: list[Found] = []
    refused: list[Refused] = []
    notes: Counter[str] = Counter()
    places = _Places([Path(path) for path in inputs])
    copies = _copies(index)
    for study in index.studies:
        choice = choose(study, rules)
        if any(one.format == "dicom" for one in choice.study.instances):  # others state nothing
            notes.update(choice.warnings)
        for instances in _of_choice(choice.study, rules):
            alone = copies.get(instances[0].source, ()) if len(instances) == 1 else ()
            names = places.names(instances, alone)
            images += _found(instances, names, phi, rules.selection.takes == "volume")
        for skipped in choice.study.skipped:
            if besides is not None and place_of(Path(skipped.source)) == place_of(Path(besides)):
                continue
            name = _shown(skipped.source, places, phi)
            refused.append(Refused(name, skipped.code, _words(skipped.code, skipped.message, phi)))
        for broken in choice.study.broken:
            name = _shown(broken.source, places, phi)
            code, message = broken.error.code, broken.error.message
            refused.append(Refused(name, code, _words(code, message, phi), fault=True))
    said = tuple(f"{text} ({count} studies)" for text, count in sorted(notes.items()))
    return Gathered(tuple(_told_apart(images)), tuple(refused), said)


def _copies(index: Index) -> dict[str, list[str]]:
    """Sources of copies, by that of the image they are copies of: a list may name any of them."""
    copies: dict[str, list[str]] = {}
    for skipped in index.skipped:
        if skipped.code == DUPLICATE:
            copies.setdefault(skipped.message.removeprefix(SAME_AS), []).append(skipped.source)
    return copies


def _words(code: str, message: str, phi: bool) -> str:
    """Without the names of other files."""
    return message if phi else _NAMELESS.get(code, message)


def _of_choice(study: Study, rules: Rules) -> Iterator[tuple[Instance, ...]]:
    if rules.selection.takes == "volume":
        yield from (one.instances for one in group(study.instances))
    else:
        yield from ((instance,) for instance in study.instances)


def _found(
    instances: tuple[Instance, ...],
    called: tuple[dict[str, tuple[str, ...]], tuple[str, ...]],
    phi: bool,
    volume: bool,
) -> Iterator[Found]:
    first = instances[0]
    dicom = first.format == "dicom"
    names, folders = called
    uids = {
        "SOP Instance UID": first.sop_uid if len(instances) == 1 else None,
        "series UID": first.series_uid,
        "study UID": first.study_uid,
        "patient": first.patient.id,
    }
    if dicom:
        names |= {kind: (uid,) for kind, uid in uids.items() if uid}
    key = (first.series_uid if volume else None) or first.sop_uid if dicom else names["path"][0]
    frames = 1 if volume else first.frames
    for frame in range(1, frames + 1):
        whole = key if frames == 1 else f"{key}#{frame}"
        yield Found(
            key=whole,
            shown=whole
            if phi or first.format not in ("dicom", "nifti")
            else pseudonym(whole, "image"),
            names=names,
            folders=folders,
            owners=_owners(first),
            instances=instances,
            frame=frame,
            modality=first.modality or "",
            manufacturer=first.manufacturer or "",
        )


def _owners(instance: Instance) -> tuple[tuple[object, ...], ...]:
    """The study, and whom the header names."""
    who = instance.patient
    owners: list[tuple[object, ...]] = []
    if instance.study_uid:
        owners.append(("study", instance.study_uid))
    if who.id:
        owners.append(("id", who.id, who.issuer))
    elif who.name:
        owners.append(("name", who.name, who.birth_date))
    return tuple(owners)


def _told_apart(images: Sequence[Found]) -> Iterator[Found]:
    """With a number on keys that several have: folders of one name, series in several groups."""
    met: Counter[str] = Counter()
    for image in images:
        met[image.key] += 1
        if met[image.key] == 1:
            yield image
        else:
            again = f"{image.key} ({met[image.key]})"
            shown = again if image.shown == image.key else pseudonym(again, "image")
            yield Found(**{**image.__dict__, "key": again, "shown": shown})


def _shown(source: str, places: "_Places", phi: bool) -> str:
    """Of a file that is no image: a picture by its name, all else by a pseudonym."""
    below = places.below(source)
    plain = below.casefold().endswith((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"))
    return below if phi or plain else pseudonym(below, "file")


class _Places:
    """What files may be called, from each of the inputs they lie below."""

    def __init__(self, inputs: Sequence[Path]):
        self._inputs = [(os.path.abspath(path), place_of(path)) for path in inputs]

    def below(self, path: str) -> str:
        """From the name of the input on: `input/a/b.png`."""
        full = os.path.abspath(path)
        for given, _ in self._inputs:
            if full == given or full.startswith(given + os.sep):
                return os.path.join(os.path.basename(given), os.path.relpath(full, given)).rstrip(
                    "/."
                )
        return os.path.basename(path)

    def names(
        self, instances: Sequence[Instance], copies: Sequence[str]
    ) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
        """By kind, what an image and its copies may be called, and the folders it lies in.

        What is in several files is called by their folder.
        """
        location = instances[0].location
        paths, folders = self._paths(str(location.path), location.member)
        if len(instances) > 1:
            above = (one.rpartition("/")[0] for one in paths)
            return {"path": paths[:1], "folder": _each_once((*above, *folders[-1:]))}, folders
        for copy in copies:
            path, _, member = copy.partition("!")
            paths += self._paths(path, member)[0]
        files = _each_once(one.rpartition("/")[2].rpartition("!")[2] for one in paths)
        return {
            "path": _each_once(paths),
            "file name": files,
            "file name without its ending": _each_once(map(_stem, files)),
        }, folders

    def _paths(self, path: str, member: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The first is the same wherever the files lie."""
        below = self.below(path)
        ends = (below, below.partition(os.sep)[2], os.path.abspath(path), place_of(Path(path)))
        if not member:
            return tuple(filter(None, ends)), tuple(below.split("/")[:-1])
        bare = os.path.splitext(below)[0]
        paths = (*(f"{end}!{member}" for end in ends if end), member, f"{bare}/{member}")
        return paths, (*bare.split("/"), *member.split("/")[:-1])


def _each_once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, words)))


def _stem(name: str) -> str:
    bare = name[:-3] if name.casefold().endswith(".nii.gz") else name
    return os.path.splitext(bare)[0]
