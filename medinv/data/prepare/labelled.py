"""Which label each image has, and what of the rest is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medinv.data.prepare.items import Found, Gathered
from medinv.data.prepare.labels import LabelTable, Row, part_of
from medinv.data.prepare.match import match
from medinv.data.prepare.write import Refused
from medinv.data.sets.info import PARTS
from medinv.errors import DataError, NothingEligibleError


@dataclass(frozen=True)
class Item:
    """An image of the set: what it is, and what a list says of it."""

    image: Found
    label: str
    part: str | None = None
    patients: tuple[str, ...] = ()  # several where copies of an image are listed for several
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelled:
    """All images that have one label. `key` says how labels were found."""

    items: tuple[Item, ...]
    refused: tuple[Refused, ...]
    key: str
    parts_given: bool
    notes: tuple[str, ...] = ()


def by_table(
    gathered: Gathered, table: LabelTable, key: str | None = None, *, phi: bool = False
) -> Labelled:
    """Labels of a list. Raises what `match` does, and DataError where no image has one."""
    _some(gathered)
    found = match(table, gathered.images, key, phi=phi)
    items: list[Item] = []
    refused = list(gathered.refused)
    for number, (image, row) in enumerate(zip(gathered.images, found.rows, strict=True)):
        refusal = _refusal(number in found.contradictions, number in found.ambiguous, row, table)
        if refusal is None and row is not None:
            rows = (row, *found.others.get(number, ()))
            items.append(_item(image, rows, table, found.column))
        elif refusal is not None:
            refused.append(Refused(image.shown, *refusal, fault=number in found.contradictions))
    for row in found.unused:
        says = "a label of no image that was handed in"
        refused.append(Refused(f"{table.name}: row {row.number}", "no-image", says))
    return Labelled(
        tuple(items), tuple(refused), found.says, table.split is not None, gathered.notes
    )


def _refusal(
    contradicts: bool, ambiguous: bool, row: Row | None, table: LabelTable
) -> tuple[str, str] | None:
    if contradicts:
        return "contradictory-labels", "rows of the list give this image several labels"
    if ambiguous:
        return "ambiguous-key", "another image has the same name: key the list by path"
    if row is None or not row.cells[table.label]:
        return "no-label", "the list has no label for this image"
    if table.split and part_of(row.cells[table.split]) is None:
        return "no-part", "the list puts this image in no part"
    return None


def _item(image: Found, rows: Sequence[Row], table: LabelTable, key: str) -> Item:
    """Of all rows of an image: of several parts the one furthest back, so that no part before it
    sees what it is measured on."""
    cells = rows[0].cells
    parts = [part_of(row.cells[table.split]) for row in rows] if table.split else []
    stated = [part for part in parts if part]
    patients = [row.cells[table.patient] for row in rows] if table.patient else []
    return Item(
        image,
        cells[table.label],
        max(stated, key=PARTS.index, default=None),
        tuple(dict.fromkeys(filter(None, patients))),
        {name: cells[name] for name in table.others if name != key},
    )


def by_folders(gathered: Gathered) -> Labelled:
    """Labels of folders: one a class, within or around folders called train, val and test if any.

    Raises DataError where there are no two folders.
    """
    _some(gathered)
    common = _shared([image.folders for image in gathered.images])
    below = [image.folders[common:] for image in gathered.images]
    first, second = _level(below, 0), _level(below, 1)
    level_of_part = 0 if _parts(first) else 1 if _parts(second) else None
    level = 1 if level_of_part == 0 else 0
    items, refused = [], list(gathered.refused)
    for image, folders in zip(gathered.images, below, strict=True):
        if len(folders) <= max(level, level_of_part or 0):
            says = "it lies in no folder that is a class"
            refused.append(Refused(image.shown, "no-label", says))
            continue
        part = None if level_of_part is None else part_of(folders[level_of_part])
        items.append(Item(image, folders[level], part))
    if len({item.label for item in items}) < 2:
        raise DataError(
            "expected one folder a class, two at least, such as images/normal/1.png and "
            "images/pneumonia/2.png; hand in the folder that holds them",
            stage="labels",
        )
    key = "folders, one a class" + ("" if level_of_part is None else ", and one a part")
    return Labelled(tuple(items), tuple(refused), key, level_of_part is not None, gathered.notes)


def _shared(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders, from the first on, all images lie in."""
    low, high = min(folders), max(folders)
    pairs = enumerate(zip(low, high, strict=False))
    return next((k for k, (one, other) in pairs if one != other), min(len(low), len(high)))


def _level(below: Sequence[tuple[str, ...]], level: int) -> set[str]:
    return {folders[level] if len(folders) > level else "" for folders in below}


def _parts(names: set[str]) -> bool:
    return len(names) > 1 and all(part_of(name) for name in names)


def _some(gathered: Gathered) -> None:
    if gathered.images:
        return
    reasons: dict[str, int] = {}
    for one in gathered.refused:
        reasons[one.code] = reasons.get(one.code, 0) + 1
    counted = ", ".join(f"{count} {code}" for code, count in sorted(reasons.items()))
    raise NothingEligibleError(
        f"no image is left to be labelled: {counted or 'no files'}; see what was left out and why "
        "with medinv classify --dry-run, or hand in other rules with --rules"
    )
