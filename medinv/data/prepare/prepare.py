"""The steps from labelled images to a set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medinv.data.prepare.columns import kept_columns
from medinv.data.prepare.duplicates import across_parts, alike, contradicting
from medinv.data.prepare.labelled import Item, Labelled
from medinv.data.prepare.labels import in_order
from medinv.data.prepare.masks import take_masks
from medinv.data.prepare.people import People, people
from medinv.data.prepare.read import Progress, Taken
from medinv.data.prepare.sheet import draw_sheet
from medinv.data.prepare.sources import Source
from medinv.data.prepare.split import SHARES, Shares, check_present, complete, make_split
from medinv.data.prepare.write import Content, Refused, check_free, folder_made, lay_down
from medinv.data.sets.info import PARTS, SHEET, About, DataSetInfo
from medinv.data.sets.prepared import read_set
from medinv.errors import ConfigError, DataError

_SAME = "its pixels are those of an image with another label: one of the labels is wrong"
_ACROSS = "its pixels are those of an image in a part further back"


@dataclass(frozen=True)
class Wish:
    """What a set is to be."""

    out: Path
    about: About
    classes: tuple[str, ...] = ()  # in the order of label numbers; none: `labels.in_order`
    shares: Shares = SHARES
    seed: int = 0
    allow_absent: bool = False
    phi: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Made:
    """What came of it. `broken` images could not be read or contradict each other."""

    info: DataSetInfo
    broken: int


@dataclass(frozen=True)
class _Images:
    taken: Taken
    masks: np.ndarray | None


def check(wish: Wish) -> None:
    """Raise OutputError where the set cannot be written: before files are looked into for hours."""
    check_free(wish.out, overwrite=wish.overwrite)


def prepare(source: Source, wish: Wish, progress: Progress = lambda done, of: None) -> Made:
    """Take in, split and write a set.

    Labels and parts are checked before the first image is read, and again of those that could be.
    Raises DataError where they cannot make a set, OutputError.
    """
    labelled, items = source.labelled, source.labelled.items
    classes = _classes(items, wish)
    _parts(labelled, items, people(items, phi=wish.phi), wish, classes)
    with folder_made(wish.out, overwrite=wish.overwrite) as folder:
        taken = source.take(items, source.spec, folder.parent, progress)
        masks = None
        if source.masks:
            masks = take_masks(source.masks, items, taken, source.spec, folder.parent)
        said = (*wish.about.findings, *(masks.findings if masks else ()))
        about = wish.about.model_copy(
            update={"rules": source.rules, "intake": source.intake, "findings": said}
        )
        images = _Images(taken, masks.images if masks else None)
        return _written(folder, labelled, images, replace(wish, about=about), classes)


def _classes(items: Sequence[Item], wish: Wish) -> tuple[str, ...]:
    met = in_order([item.label for item in items])
    if len(met) < 2:
        have = f"only {met[0]!r}" if met else "none"
        raise DataError(
            f"expected labels of two classes at least; got {have}: is another column the one of "
            "labels (--label-column)?",
            stage="labels",
        )
    if odd := [name for name in met if wish.classes and name not in wish.classes]:
        raise ConfigError(
            f"label {odd[0]!r} is none of --classes {', '.join(wish.classes)}; met were "
            f"{', '.join(met[:20])}"
        )
    return wish.classes or met


def _parts(
    labelled: Labelled, items: Sequence[Item], whose: People, wish: Wish, classes: tuple[str, ...]
) -> tuple[list[str], str]:
    """The part of each item, and how it was made."""
    labels = [item.label for item in items]
    if labelled.parts_given:
        given = [item.part or "" for item in items]
        parts, drawn = complete(whose.names, labels, given, wish.shares, wish.seed)
        says = "as given" + (f"; {drawn}" if drawn else "")
    else:
        parts = make_split(whose.names, labels, wish.shares, wish.seed)
        shares = ", ".join(f"{share:g}" for share in wish.shares)
        says = f"by patient, stratified by class, shares {shares}, seed {wish.seed}"
    wanted = [part for part, share in zip(PARTS, wish.shares, strict=True) if share]
    if not wish.allow_absent:
        check_present(labels, parts, wanted, classes)
    return parts, says


def _written(
    folder: Path, labelled: Labelled, images: "_Images", wish: Wish, classes: tuple[str, ...]
) -> Made:
    """Of what could be read: settle what is alike, split, lay down."""
    items, taken = labelled.items, images.taken
    refused = dict(taken.refused)
    groups = alike([digest or f"refused {n}" for n, digest in enumerate(taken.digests)])
    given = [item.part for item in items] if labelled.parts_given else ()
    clashing = contradicting(groups, [item.label for item in items], given)
    refused |= {
        n: Refused(items[n].image.shown, "contradictory-images", _SAME, fault=True)
        for n in clashing
    }
    rows = [number for number in range(len(items)) if number not in refused]
    _any_left(rows, refused, labelled)
    place = {number: k for k, number in enumerate(rows)}
    same = [left for numbers in groups if (left := [place[n] for n in numbers if n in place])]
    kept = [items[number] for number in rows]
    whose = people(kept, () if labelled.parts_given else same, phi=wish.phi)
    parts, split = _parts(labelled, kept, whose, wish, classes)
    across = across_parts(same, parts)
    for k in across.dropped:
        refused[rows[k]] = Refused(kept[k].image.shown, "identical-images", _ACROSS)
    chosen = [k for k in range(len(kept)) if k not in across.dropped]
    kept, rows = [kept[k] for k in chosen], [rows[k] for k in chosen]
    names = [whose.names[k] for k in chosen]
    parts = [parts[k] for k in chosen]
    if across.dropped and not wish.allow_absent:
        check_present([one.label for one in kept], parts, sorted(set(parts)), classes)
    columns, left_out = kept_columns(kept, len(set(names)), phi=wish.phi)
    findings = [*labelled.notes, *whose.findings, *_said(same, across.groups, len(clashing))]
    if left_out:
        findings.append(f"columns that may tell patients apart are left out: {', '.join(left_out)}")
    content = Content(
        images=taken.images,
        labels=[item.label for item in kept],
        splits=parts,
        patients=names,
        names=[item.image.shown for item in kept],
        columns=columns,
        headers={
            "modality": [item.image.modality for item in kept],
            "manufacturer": [item.image.manufacturer for item in kept],
        },
        masks=images.masks,
        refused=[*labelled.refused, *(refused[number] for number in sorted(refused))],
        rows=rows,
    )
    about = wish.about.model_copy(
        update={
            "patients_from": whose.told_by,
            "split": split,
            "label_key": labelled.key,
            "findings": (*wish.about.findings, *findings),
        }
    )
    info = lay_down(folder, content, about, classes=classes)
    draw_sheet(folder / SHEET, info, read_set(folder).data)
    return Made(info, sum(one.fault for one in content.refused))


def _any_left(rows: Sequence[int], refused: dict[int, Refused], labelled: Labelled) -> None:
    if not rows:
        counts = Counter(one.code for one in refused.values())
        reasons = ", ".join(f"{count} {code}" for code, count in counts.most_common())
        raise DataError(f"none of {len(labelled.items)} images could be used: {reasons}")


def _said(same: Sequence[Sequence[int]], across: int, clashing: int) -> list[str]:
    extra = sum(len(numbers) - 1 for numbers in same)
    said = (
        (clashing, "images that are left out, as the same pixels have another label too"),
        (extra, "images with the pixels of another one of the same label"),
        (across, "images that stood in several parts, left out of all but the last of them"),
    )
    return [f"{text}: {count}" for count, text in said if count]
