"""The course as a recipe: each of its lessons added to one network, on one set.

    python -m pipelines.seeds.course.run [--quick]

Digits of 8 x 8 pixels, 300 of them for training. About three processor minutes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.record import Table
from pipelines.seeds.course.parts import (
    BatchNorm,
    Momentum,
    Pair,
    SelfAttention,
    cosine,
    kaiming,
    shifted,
    xavier,
)
from pipelines.seeds.intervals import over_seeds, points
from pipelines.seeds.table import System, options, write

CHANNELS, PAIRS, BATCH, RATE = 16, 4, 32, 0.05
BUILT = """\
A network of nine convolutions of 16 channels on digits (8 x 8, 300 training images, 1,497 others),
trained by gradient descent at one rate, to which the lessons of a course are added one after
another, each written out from its formula: the starts of Xavier and Kaiming, batch normalisation,
momentum, the cosine, shifted images, ways around pairs of convolutions (ResNet), attention. LeNet
stands beside it. Tests hold each part to its identity: variance kept through 30 layers, what
batch normalisation and attention of torch give, momentum's recurrence and its closed form, the
ends of the cosine, a block that starts as the identity. Differences are paired over seeds with 95
% intervals by Student's t; the rate is the same for all, so that a lesson that wants another rate
is judged too hard. A null: an interval that holds zero."""


@dataclass(frozen=True)
class Recipe:
    """Which lessons are taken."""

    start: str = "small"
    normalised: bool = False
    momentum: float = 0.0
    cosine: bool = False
    shift: bool = False
    residual: bool = False
    attention: bool = False
    lenet: bool = False


PLAIN = Recipe()
LESSONS: dict[str, dict] = {
    "Xavier's start": {"start": "xavier"},
    "Kaiming's start": {"start": "kaiming"},
    "batch normalisation": {"normalised": True},
    "momentum 0.9": {"momentum": 0.9},
    "cosine": {"cosine": True},
    "shifted images": {"shift": True},
    "residual (ResNet)": {"residual": True},
    "attention": {"attention": True},
}
STARTS = {
    "small": lambda weight: weight.data.normal_(0, 0.05),
    "xavier": xavier,
    "kaiming": kaiming,
}


def network(recipe: Recipe) -> nn.Sequential:
    """Images (N, 1, 8, 8) -> logits (N, 10)."""
    if recipe.lenet:
        made = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    else:
        pairs = [
            Pair(CHANNELS, normalised=recipe.normalised, residual=recipe.residual)
            for _ in range(PAIRS)
        ]
        first = [nn.Conv2d(1, CHANNELS, 3, padding=1)]
        first += [BatchNorm(CHANNELS)] if recipe.normalised else []
        attending = [SelfAttention(CHANNELS)] if recipe.attention else []
        made = nn.Sequential(
            *first, nn.ReLU(), *pairs, *attending,
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10),
        )  # fmt: skip
    for module in made.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            STARTS[recipe.start](module.weight)
    return made


def accuracy(recipe: Recipe, x: Tensor, y: Tensor, seed: int, epochs: int) -> float:
    """Of the images that were not trained on."""
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    order = generator.permutation(len(y))
    train, test = order[:300], order[300:]
    model = network(recipe).train()
    optimiser = Momentum(model.parameters(), recipe.momentum)
    rate = RATE * (1 - recipe.momentum)  # so that the steps add up to as much
    steps, step = epochs * (len(train) // BATCH), 0
    for _ in range(epochs):
        for rows in np.array_split(generator.permutation(train), len(train) // BATCH):
            images = x[rows]
            if recipe.shift:
                images = shifted(images, *generator.integers(-1, 2, 2).tolist())
            model.zero_grad()
            F.cross_entropy(model(images), y[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step(cosine(step, steps, rate) if recipe.cosine else rate)
            step += 1
    with torch.no_grad():
        return float((model.eval()(x[test]).argmax(1) == y[test]).double().mean())


def ablation(seeds: Sequence[int], epochs: int) -> tuple[Table, dict[str, NDArray]]:
    """Lessons added in order, and each left out of the whole."""
    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy((images - 5) / 6).float().reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels)

    def run(recipe: Recipe) -> NDArray:
        return np.array([accuracy(recipe, x, y, seed, epochs) for seed in seeds])

    so_far, found = PLAIN, {"plain": run(PLAIN)}
    for name, lesson in LESSONS.items():
        so_far = replace(so_far, **lesson)
        found[name] = run(so_far)
    whole, names = so_far, list(found)
    rows = []
    for before, name in zip([None, *names], names, strict=False):
        added = points(over_seeds(found[name] - found[before])) if before else "-"
        without = "-"
        if name in LESSONS and name != "Xavier's start":
            less = replace(whole, **{key: getattr(PLAIN, key) for key in LESSONS[name]})
            without = points(over_seeds(found[names[-1]] - run(less)))
        rows.append([name, f"{found[name].mean():.3f}", added, without])
    lenet = run(Recipe(start="kaiming", momentum=0.9, cosine=True, shift=True, lenet=True))
    rows.append(["LeNet, with all but normalisation", f"{lenet.mean():.3f}", "-", "-"])
    found["LeNet"] = lenet
    columns = ("lesson, added to those above", "accuracy", "adds, points", "whole - without it")
    note = f"Means of {len(seeds)} seeds, {epochs} epochs; in brackets 95 % intervals."
    return Table("Lessons", columns, rows, note), found


def main() -> None:
    quick = options(__doc__, "two seeds, two epochs").parse_args().quick
    torch.set_num_threads(1)
    began = time.process_time()
    seeds = range(2 if quick else 5)
    table, found = ablation(seeds, epochs=2 if quick else 12)
    first, last = found["plain"].mean(), found[list(LESSONS)[-1]].mean()
    system = System(
        13,
        "course",
        "The course as recipe",
        claimed="Each lesson of a course (starts, normalisation, momentum, schedule, "
        "augmentation, residuals, attention) makes a network better.",
        measured=f"From {first:.2f} without to {last:.2f} with all of them; LeNet "
        f"{found['LeNet'].mean():.2f}. Which lessons add beyond chance stands on the page.",
        seeds=str(len(seeds)),
        useful="nothing new: medinv's recipes hold these lessons already; the tests hold each to "
        "its formula.",
    )
    seconds = time.process_time() - began
    print(write(system, BUILT, [table], seconds=seconds, quick=quick).read_text())


if __name__ == "__main__":
    main()
