"""The examples of an audit's page: images as they are and changed, with answers and evidence."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medinv.audit.changes import blanked, border_alone, exchanged
from medinv.audit.measures import Bench, whole_levels
from medinv.audit.planted import hidden, plantings

EACH = 3  # images of a class, of the first MOST classes
MOST = 4


@dataclass(frozen=True)
class Shown:
    """One image as the model was given it, and what it said.

    image (H, W) or (H, W, 3) uint8 (of volumes the middle slice); evidence (H, W) for the class
    called, of the size of the logits.
    """

    name: str
    image: np.ndarray
    called: str
    told: str  # of two classes the second, of more the one called
    probability: float  # calibrated, of the class told
    flagged: bool
    evidence: np.ndarray


@dataclass(frozen=True)
class Example:
    """One image of the sample, as it is and changed."""

    truth: str
    shown: tuple[Shown, ...]


def examples(bench: Bench, *, planting: bool) -> tuple[Example, ...]:
    """Some images of each class, called as they should be where there are such."""
    rows = torch.cat([_some(bench, k) for k in range(len(bench.subject.classes))])
    changed = list(_variants(bench, rows, planting=planting))
    truths = [bench.subject.classes[int(k)] for k in bench.sample.labels[rows]]
    made: list[list[Shown]] = [[] for _ in rows]
    for name, images, of in changed:
        for place, shown in zip(of, _asked(bench, name, images), strict=True):
            made[place].append(shown)
    return tuple(Example(t, tuple(s)) for t, s in zip(truths, made, strict=True))


def _some(bench: Bench, label: int) -> Tensor:
    if label >= MOST:
        return torch.empty(0, dtype=torch.long)
    rows = np.flatnonzero(bench.labels == label)
    right = bench.answers.called[rows] == label
    return torch.from_numpy(np.concatenate([rows[right], rows[~right]])[:EACH])


def _variants(
    bench: Bench, rows: Tensor, *, planting: bool
) -> Iterator[tuple[str, Tensor, list[int]]]:
    """Name, images and to which of `rows` each belongs."""
    sample, every = bench.sample, list(range(len(rows)))
    yield "as it is", sample.images[rows], every
    if sample.region is None:
        yield "border alone", border_alone(sample)[rows], every
        return
    name = sample.region.name
    yield f"{name} blanked", blanked(sample, sample.region, alone=False)[rows], every
    yield f"{name} alone", blanked(sample, sample.region, alone=True)[rows], every
    yield from _exchanged(bench, rows)
    if planting:
        one = next(plantings(sample, sample.region, quick=True))
        title = "finding planted"
    else:
        one = next(iter(hidden(sample, sample.region, quick=True)))[1]
        title = f"part of the {name} hidden"
    where = {int(row): k for k, row in enumerate(one.rows)}
    there = [k for k in every if int(rows[k]) in where]
    if there:
        yield title, one.images[[where[int(rows[k])] for k in there]], there


def _exchanged(bench: Bench, rows: Tensor) -> Iterator[tuple[str, Tensor, list[int]]]:
    sample, region = bench.sample, bench.sample.region
    if region is None:
        return
    for k in range(len(bench.subject.classes)):
        there = [place for place, row in enumerate(rows) if int(sample.labels[row]) == k]
        if not there or bool((sample.labels == k).all()):
            continue
        few = int((sample.labels == k).sum())
        inner, outer, images = exchanged(sample, region, k, pairs=few, aligned=True)
        at = {int(row): i for i, row in enumerate(inner)}
        for place in there:
            i = at[int(rows[place])]
            other = bench.subject.classes[int(sample.labels[outer[i]])]
            yield f"in a surround of {other}", images[i : i + 1], [place]


def _asked(bench: Bench, name: str, images: Tensor) -> list[Shown]:
    shown = whole_levels(images, bench.subject.unit)
    answers = bench.subject.answers(shown)
    maps = bench.subject.maps(shown, answers.called, bench.sample.ground)
    told = [1 if bench.subject.two else int(k) for k in answers.called]
    return [
        Shown(
            name=name,
            image=_picture(shown[i]),
            called=bench.subject.classes[int(answers.called[i])],
            told=bench.subject.classes[told[i]],
            probability=float(answers.probabilities[i, told[i]]),
            flagged=bool(answers.flagged[i]),
            evidence=_slice(maps[i]),
        )
        for i in range(len(shown))
    ]


def _slice(values: np.ndarray) -> np.ndarray:
    return values[len(values) // 2] if values.ndim == 3 else values


def _picture(image: Tensor) -> np.ndarray:
    """(C, *size) as (H, W), or (H, W, 3) of three channels."""
    pixels = np.stack([_slice(channel) for channel in image.numpy()]).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
