"""A configuration for somebody's own images: network, recipe and card by what a set says.

The choices are those of recipes in configs/ that work: a density for two classes of small images,
since its likelihood judges scope and its evidence is linear; inverted convolutions under a pooled
head for more classes, larger images and volumes, which they learn in fewer steps, where a
likelihood costs more than it tells, and for few images, of which a density keeps every place.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medinv.data.sets.info import PARTS, DataSetInfo
from medinv.errors import ConfigError

MOST_CLASSES, LARGEST_SIDE = 2, 128  # of a density
FEWEST_IMAGES = 300  # for training a density, whose class means are free at every place
STEPS = 2500  # of the optimiser, that the epochs are to add up to
FEWEST, MOST = 15, 60  # epochs
SEVERAL = re.compile(r"[|;]")  # how other sets write several findings of one image
MIRRORED = frozenset({"US", "OP", "OPT", "XC", "GM", "SM", "ES", "DMS"})  # left is as right there
POOLED_WIDTHS = {2: (32, 64), 3: (32, 64, 128), 4: (16, 32, 64, 128), 5: (16, 32, 64, 128, 128)}


@dataclass(frozen=True)
class Draft:
    """Sections of a configuration, and why they are as they are."""

    name: str
    model: dict[str, Any]
    train: dict[str, Any]
    reference: dict[str, Any]
    card: dict[str, Any]
    why: str  # the kind of model
    notes: tuple[str, ...]  # what a user should know


def draft(info: DataSetInfo, modalities: Sequence[str], kind: str | None = None) -> Draft:
    """What to train on a set; `kind`, density or pooled, overrules the choice.

    `modalities` are those of its images, empty words left out. Raises ConfigError, by name, for
    what no kind of model here can do.
    """
    _refuse(info)
    chosen, why = _kind(info, kind)
    images = sum(info.counts["training"].values())
    network, recipe = (
        (_density, _density_recipe) if chosen == "density" else (_pooled, _pooled_recipe)
    )
    levels = _levels(info)
    model = {
        **network(info, levels),
        "channels": info.channels,
        "classes": list(info.classes),
        **_standardised(info),
    }
    train = recipe(info, images, any(each in MIRRORED for each in modalities))
    return Draft(
        name=_name(info.name),
        model=model,
        train=train,
        reference={"axes": 8, "cases": min(images, 500)},
        card=_card(info, modalities),
        why=why,
        notes=_notes(info, images),
    )


def _refuse(info: DataSetInfo) -> None:
    several = [name for name in info.classes if SEVERAL.search(name)]
    if several:
        raise ConfigError(
            f"class {several[0]!r} looks like several findings at once; a network here gives each "
            "image one class: prepare a set for each finding, or name the combinations otherwise"
        )
    if len(info.classes) < 2:
        raise ConfigError(f"expected two classes or more; the set has {', '.join(info.classes)}")
    for part in PARTS:
        for name in info.classes:
            if not info.counts.get(part, {}).get(name):
                raise ConfigError(
                    f"class {name!r} has no image in the {part} part: every part needs some of "
                    "each; prepare the set with other shares (--split) or fewer classes"
                )
    odd = [side for side in info.size if side % 4]
    if odd:
        raise ConfigError(
            f"sides of {_words(info.size)} cannot be halved twice: prepare the set with --size of "
            "multiples of 4, better 16 or 32"
        )


def _kind(info: DataSetInfo, kind: str | None) -> tuple[str, str]:
    volumes, large = len(info.size) == 3, max(info.size) > LARGEST_SIDE
    not_density = {
        "volumes have no density here": volumes,
        "a density is of 8 bits": info.bits == 16,
    }
    reasons = [why for why, holds in not_density.items() if holds]
    if kind == "density" and reasons:
        raise ConfigError(f"--kind density: {reasons[0]}; take pooled")
    if kind is not None:
        return kind, "as asked"
    if large:
        reasons.append(f"sides above {LARGEST_SIDE} pixels make a likelihood slow")
    if sum(info.counts["training"].values()) < FEWEST_IMAGES:
        reasons.append(f"a density learns fewer than {FEWEST_IMAGES} training images by heart")
    if len(info.classes) > MOST_CLASSES:
        reasons.append("more than two classes are learned in fewer steps without a likelihood")
    if reasons:
        return "pooled", f"{'; '.join(reasons)}: inverted convolutions under a pooled head"
    return (
        "density",
        "two classes of small images, and enough: a density, whose likelihood judges its scope",
    )


def _levels(info: DataSetInfo) -> int:
    """Halvings until the shortest side is three pixels or can be halved no more."""
    most, count = (2, 0) if len(info.size) == 3 else (5, 0)
    while count < most and all(
        side % 2 ** (count + 1) == 0 and side >> (count + 1) >= 3 for side in info.size
    ):
        count += 1
    return count


def _density(info: DataSetInfo, levels: int) -> dict[str, Any]:
    depths = {1: (4,), 2: (4, 4), 3: (2, 4, 4), 4: (2, 4, 6, 4), 5: (2, 2, 4, 4, 4)}[levels]
    return {
        "kind": "invertible",
        "depths": list(depths),
        "hidden": list((16, 24, 32, 48, 64)[-levels:] if levels > 3 else (32, 48, 64)[:levels]),
        "mixing": "reversal",
        "uniform_means": True,
    }


def _pooled(info: DataSetInfo, levels: int) -> dict[str, Any]:
    if len(info.size) == 3:
        widths = [info.channels * 8 ** (level + 1) for level in range(levels)]
        return {
            "kind": "pooled",
            "axes": 3,
            "depths": [2] * levels,
            "hidden": widths,
            "slope": 0.3,
            "padding": "circular",
        }
    grey = {1: (32,), **POOLED_WIDTHS}[levels]
    widths = [width if info.channels == 1 else width * 3 // 2 for width in grey]
    return {
        "kind": "pooled",
        "depths": [3] * levels if max(info.size) <= 64 else [1, *[2] * (levels - 1)],
        "hidden": widths,
        "slope": 0.3,
        # At the finest level of large images an inverse without borders is far cheaper.
        "padding": "zeros" if max(info.size) <= 64 else "circular",
    }


def _shared(info: DataSetInfo, images: int, batch: int) -> dict[str, Any]:
    batch = max(2, min(batch, images // 8))
    steps = images // batch
    epochs = max(FEWEST, min(MOST, math.ceil(STEPS / steps)))
    memory = max(10.0, 0.03 * epochs * steps)  # steps that the average looks back
    return {
        "epochs": epochs,
        "batch": batch,
        "warmup": 1 if steps > 20 else 2,
        "average": round(min(0.998, 1 - 1 / memory), 4),
        "shift": max(1, min(info.size) // 32),
    }


def _density_recipe(info: DataSetInfo, images: int, mirrored: bool) -> dict[str, Any]:
    shared = _shared(info, images, 32 if max(info.size) <= 64 else 16)
    light: dict[str, Any] = {"flip": True} if mirrored else {"gain": 0.05, "offset": 5}
    return {**shared, "cross_entropy": 1.0, "cross_entropy_end": 0.3, **light, "keep": "best"}


def _pooled_recipe(info: DataSetInfo, images: int, mirrored: bool) -> dict[str, Any]:
    values = math.prod(info.size)
    shared = _shared(info, images, 64 if values <= 64 * 64 else 16)
    return {
        **shared,
        "average": min(shared["average"], 0.98),
        "optimiser": "muon",
        "schedule": "linear",
        "learning_rate": 0.03,
        "clip": 1000,
        "orthogonality": 0.005,
        "label_smoothing": 0.1,
        "flip": mirrored,
        "keep": "best",
    }


def _standardised(info: DataSetInfo) -> dict[str, float]:
    """One mean and deviation over all channels."""
    mean = sum(info.mean) / len(info.mean)
    squares = [std**2 + (each - mean) ** 2 for each, std in zip(info.mean, info.std, strict=True)]
    return {
        "mean": round(mean, 1),
        "std": round(max(1.0, math.sqrt(sum(squares) / len(squares))), 1),
    }


def _card(info: DataSetInfo, modalities: Sequence[str]) -> dict[str, Any]:
    counted = ", ".join(
        f"{sum(info.counts[part].values())} {part} images of {info.patients.get(part, 0)} patients"
        for part in PARTS
    )
    rules = info.rules
    selection: dict[str, Any] = {}
    if rules is not None:
        selection = rules.selection.model_dump(mode="json", exclude_defaults=True)
    if info.channels == 3:
        selection["colour"] = True
    if len(info.size) == 3:
        selection["takes"] = "volume"
    return {
        "title": f"{info.name}: {', '.join(info.classes)}",
        "task": f"Tells {', '.join(info.classes[:-1])} and {info.classes[-1]} apart.",
        "intended_use": "Research. Not for diagnosis.",
        "training_data": f"{info.source or info.name}: {counted}; {info.intake}.",
        "data_licence": info.licence or "not stated",
        "modalities": list(rules.modalities if rules and rules.modalities else modalities),
        "body_parts": list(rules.body_parts) if rules else [],
        **({"selection": selection} if selection else {}),
        "limits": [
            f"The network sees {_words(info.size)} values of {info.bits} bits a channel, whatever "
            "an image held.",
            "It knows these classes and no other: every image is called one of them.",
            *info.findings,
        ],
        "not_tested": ["images of other places, devices and patients than those of the set"],
    }


def _notes(info: DataSetInfo, images: int) -> tuple[str, ...]:
    notes = []
    if images < 200:
        notes.append(f"{images} training images are few: expect wide intervals")
    if info.bits == 16:
        notes.append(
            "16 bits: the model can be trained, evaluated and verified on this set; classify and "
            "explain read 8 bits and will refuse it"
        )
    return tuple(notes)


def _name(text: str) -> str:
    """As a name of models is written."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "own"


def _words(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
