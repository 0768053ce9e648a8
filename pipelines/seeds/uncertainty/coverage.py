"""Sets of classes and abstention of shipped models: coverage on their test images, and shifted."""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from medinv.data.resize import resize
from medinv.data.sets.labelled import Part
from medinv.metrics import Estimate, share
from medinv.models.base import InvertibleNetwork
from medinv.models.conformal import Conformal, fit_conformal

Shift = Callable[[NDArray, np.random.Generator], NDArray]


def _noisy(deviation: float) -> Shift:
    return lambda x, generator: x + generator.normal(0, deviation, x.shape)


def _blurred(width: float) -> Shift:
    return lambda x, generator: gaussian_filter(x, (0, 0, width, width))


SHIFTS: dict[str, Shift] = {
    "none": lambda x, generator: x,
    "blur of 1 pixel": _blurred(1),
    "blur of 2 pixels": _blurred(2),
    "noise of 8 grey levels": _noisy(8),
    "noise of 24 grey levels": _noisy(24),
    "three quarters as bright": lambda x, generator: 0.75 * x,
}


@dataclass(frozen=True)
class Said:
    """What a model says of a part: probabilities (N, K), called and true classes (N,), in scope."""

    probabilities: NDArray
    called: NDArray
    labels: NDArray
    patients: NDArray
    inside: NDArray

    def __getitem__(self, rows: NDArray) -> "Said":
        return Said(*(each[rows] for each in vars(self).values()))


def shifted(part: Part, shift: Shift) -> Part:
    images = shift(part.images.astype(float), np.random.default_rng(0))
    return replace(part, images=images.round().clip(0, 255).astype(np.uint8))


def some(part: Part, count: int) -> Part:
    """As many images, drawn once."""
    rows = np.random.default_rng(0).permutation(len(part))[:count]
    return Part(part.images[rows], part.labels[rows], part.patients[rows])


@torch.no_grad()
def said(model: InvertibleNetwork, part: Part, batch: int = 16) -> Said:
    """In the model's own arithmetic, with its operating point and scope."""
    weights = next(model.parameters())
    readings = [
        model.read(torch.from_numpy(part.images[i : i + batch]).to(weights))
        for i in range(0, len(part), batch)
    ]
    probabilities = torch.cat([one.probabilities for one in readings]).double().numpy()
    called = torch.cat([model.called(one.logits) for one in readings]).numpy()
    inside = torch.cat([model.in_scope(one) for one in readings]).numpy()
    return Said(probabilities, called, part.labels, part.patients, inside)


@dataclass(frozen=True)
class Coverage:
    """Shares of images, with Wilson intervals of as many cases as there are patients."""

    covered: Estimate  # whose set holds their class
    worst: Estimate  # the same of the class of which it holds least
    undecided: Estimate
    wrong: Estimate  # decided, and wrongly
    wrong_without: Estimate  # called wrongly where nothing is left undecided


def coverage(one: Said, sets: Conformal, error: float) -> Coverage:
    held = sets.holds(one.probabilities, error)
    rows = np.arange(len(one.labels))
    right = held[rows, one.labels]
    undecided = (held.sum(1) != 1) | ~held[rows, one.called]
    wrong = one.called != one.labels
    by_class = [
        share(right[one.labels == k], one.patients[one.labels == k]) for k in np.unique(one.labels)
    ]
    return Coverage(
        share(right, one.patients),
        min(by_class, key=lambda each: each.value),
        share(undecided, one.patients),
        share(wrong & ~undecided, one.patients),
        share(wrong, one.patients),
    )


def holds(one: Coverage, error: float) -> bool:
    """Whether no class is covered less than promised, beyond chance: an interval by patient."""
    return one.worst.high >= 1 - error


def redrawn(both: Said, error: float, draws: int, seed: int) -> tuple[float, float]:
    """Coverage over random halves of patients of all images: its mean, and its standard error.

    What the theorem speaks of, since halves are exchangeable; but for the calibration of the
    probabilities, one curve for all, that was fitted to some of these images.
    """
    generator, found = np.random.default_rng(seed), []
    names = np.unique(both.patients)
    for _ in range(draws):
        first = np.isin(both.patients, generator.permutation(names)[: len(names) // 2])
        sets = fit_conformal(both.probabilities[first], both.labels[first])
        rest = both[~first]
        held = sets.holds(rest.probabilities, error)
        found.append(held[np.arange(len(rest.labels)), rest.labels].mean())
    return float(np.mean(found)), float(np.std(found) / draws**0.5)


def pooled(first: Said, second: Said) -> Said:
    """Two parts of disjoint patients as one."""
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Said(*(np.concatenate(pair) for pair in pairs))


def adults(size: int, count: int) -> Part | None:
    """Films of adults of NIH ChestX-ray14, pneumonia or no finding by their mined reports."""
    folder = Path(os.environ.get("MEDINV_DATA", "")) / "nih_cxr_256"
    if not (folder / "labels.csv").is_file():
        return None
    with open(folder / "labels.csv") as stream:
        lines = list(csv.DictReader(stream))
    lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:count]]
    films = [np.asarray(Image.open(folder / line["path"]).convert("L")) for line in lines]
    images = np.stack([resize(film, (size, size)) for film in films])
    labels = np.array([int(line["label"] == "pneumonia") for line in lines])
    return Part(images, labels, np.array([line["patient"] for line in lines]))
