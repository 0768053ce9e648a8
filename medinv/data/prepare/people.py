"""Whose each image is, and a name for each patient that says nothing of who it is."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from medinv.data.prepare.labelled import Item
from medinv.data.prepare.split import Groups
from medinv.files import pseudonym


@dataclass(frozen=True)
class People:
    """The patient of each image, and how it was told."""

    names: tuple[str, ...]
    told_by: str
    findings: tuple[str, ...] = ()


def people(items: Sequence[Item], alike: Sequence[Sequence[int]] = (), *, phi: bool) -> People:
    """Patients by the list where it names them, else by the headers, else one an image.

    `alike` are numbers of images that are of one patient for another reason. A name is made of the
    least of the keys of a patient's images, not of the PatientID: few digits are soon guessed.
    """
    groups, owners = Groups(), [_owners(item) for item in items]
    for each in owners:
        groups.join(each)
    for numbers in alike:
        groups.join(owners[number][0] for number in numbers)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, each in enumerate(owners):
        members[groups.root(each[0])].append(number)
    names = [""] * len(items)
    for numbers in members.values():
        first = min(items[number].image.key for number in numbers)
        listed = min((name for n in numbers for name in items[n].patients), default="")
        name = (listed or first) if phi else pseudonym(first, "patient")
        for number in numbers:
            names[number] = name
    return People(tuple(names), _told_by(items, owners), _disagreements(items))


def _owners(item: Item) -> list[Hashable]:
    if item.patients:
        studies = [owner for owner in item.image.owners if owner[0] == "study"]
        return [*(("list", name) for name in item.patients), *studies]
    return [*item.image.owners] or [("image", item.image.key)]


def _told_by(items: Sequence[Item], owners: Sequence[Sequence[Hashable]]) -> str:
    listed = sum(bool(item.patients) for item in items)
    alone = sum(each[0][0] == "image" for each in owners)  # type: ignore[index]
    headers = len(items) - listed - alone
    said = (
        (listed, "as given with the labels"),
        (headers, "by the headers"),
        (alone, "NOT KNOWN, each taken for a patient of its own: images of one patient may stand "
         "in several parts"),
    )  # fmt: skip
    told = [(count, text) for count, text in said if count]
    if len(told) == 1:
        return told[0][1]
    return "; ".join(f"{count} images {text}" for count, text in told)


def _disagreements(items: Sequence[Item]) -> tuple[str, ...]:
    by_list: dict[str, set[Hashable]] = defaultdict(set)
    by_header: dict[Hashable, set[str]] = defaultdict(set)
    for item in items:
        for owner in item.image.owners:
            for name in item.patients if owner[0] != "study" else ():
                by_list[name].add(owner)
                by_header[owner].add(name)
    several = sum(len(owners) > 1 for owners in by_list.values())
    shared = sum(len(names) > 1 for names in by_header.values())
    said = (
        (several, "patients of the list have several patients in their headers"),
        (shared, "patients of the headers are several in the list"),
    )
    return tuple(f"{text}, the list was believed: {count}" for count, text in said if count)
