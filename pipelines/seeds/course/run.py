"""The course as a recipe: each of its lessons added to one network, on one set.

    python -m pipelines.seeds.course.run [--quick]

Digits of 8 x 8 pixels, 300 of them for training. About a quarter of an hour of one processor.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

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

CHANNELS, PAIRS, BATCH = 16, 4, 32
RATES, TRAINED, CHOOSING = (0.06, 0.2, 0.6, 1.8), 300, 100  # seed of the rates' choice
BUILT = """\
A network of nine convolutions of 16 channels on digits (8 x 8, 300 training images, 1,497 others),
trained by gradient descent, to which the lessons of a course are added one after
another, each written out from its formula: the starts of Xavier and Kaiming, batch normalisation,
momentum, the cosine, shifted images, ways around pairs of convolutions (ResNet), attention. LeNet
stands beside it. Tests hold each part to its identity: variance kept through 30 layers, what
batch normalisation and attention of torch give, momentum's recurrence and its closed form, the
ends of the cosine, a block that starts as the identity. Differences are paired over seeds with 95
% intervals by Student's t. The rate of each recipe is the best of four on 100 of the 300 images, in
one training of the other 200 that no seed of the table draws; the images tested on choose nothing.
A null: an interval that holds zero."""


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


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 8, 8), their labels (N,), and for how long is trained."""

    x: Tensor
    y: Tensor
    epochs: int

    def accuracy(self, recipe: Recipe, seed: int) -> float:
        """Of the images that were not trained on, at the rate chosen for the recipe."""
        order = np.random.default_rng(seed).permutation(len(self.y))
        rate = self.rate(recipe)
        return self.trained(recipe, seed, rate, order[:TRAINED], order[TRAINED:])

    @cache  # noqa: B019  # the few recipes of one study
    def rate(self, recipe: Recipe) -> float:
        """The best of RATES on a third of the images that a seed of its own draws."""
        order = np.random.default_rng(CHOOSING).permutation(len(self.y))[:TRAINED]
        train, held = order[: TRAINED * 2 // 3], order[TRAINED * 2 // 3 :]
        scores = [self.trained(recipe, CHOOSING, rate, train, held) for rate in RATES]
        return RATES[int(np.argmax(scores))]

    def trained(
        self, recipe: Recipe, seed: int, rate: float, train: NDArray, test: NDArray
    ) -> float:
        """The accuracy on `test` of a network trained on `train`."""
        generator = np.random.default_rng(seed)
        torch.manual_seed(seed)
        model = network(recipe).train()
        optimiser = Momentum(model.parameters(), recipe.momentum)
        rate = rate * (1 - recipe.momentum)  # so that the steps add up to as much
        steps, step = self.epochs * (len(train) // BATCH), 0
        for _ in range(self.epochs):
            for rows in np.array_split(generator.permutation(train), len(train) // BATCH):
                images = self.x[rows]
                if recipe.shift:
                    images = shifted(images, *generator.integers(-1, 2, 2).tolist())
                model.zero_grad()
                F.cross_entropy(model(images), self.y[rows]).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimiser.step(cosine(step, steps, rate) if recipe.cosine else rate)
                step += 1
        with torch.no_grad():
            right = model.eval()(self.x[test]).argmax(1) == self.y[test]
        return float(right.double().mean())


def ablation(seeds: Sequence[int], epochs: int) -> tuple[Table, dict[str, NDArray]]:
    """Lessons added in order, and each left out of the whole."""
    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy((images - 5) / 6).float().reshape(-1, 1, 8, 8)
    digits, rates = Digits(x, torch.from_numpy(labels), epochs), list[float]()

    def run(recipe: Recipe) -> NDArray:
        rates.append(digits.rate(recipe))
        return np.array([digits.accuracy(recipe, seed) for seed in seeds])

    so_far, found = PLAIN, {"plain": run(PLAIN)}
    for name, lesson in LESSONS.items():
        so_far = replace(so_far, **lesson)
        found[name] = run(so_far)
    whole, names, chosen = so_far, list(found), list(rates)
    rows = []
    for before, name, rate in zip([None, *names], names, chosen, strict=False):
        added = points(over_seeds(found[name] - found[before])) if before else "-"
        without = "-"
        if name in LESSONS and name != "Xavier's start":
            less = replace(whole, **{key: getattr(PLAIN, key) for key in LESSONS[name]})
            without = points(over_seeds(found[names[-1]] - run(less)))
        rows.append([name, f"{rate:g}", f"{found[name].mean():.3f}", added, without])
    lenet = run(Recipe(start="kaiming", momentum=0.9, cosine=True, shift=True, lenet=True))
    last = ["LeNet, with all but normalisation", f"{rates[-1]:g}", f"{lenet.mean():.3f}"]
    rows.append([*last, "-", "-"])
    found["LeNet"] = lenet
    columns = (
        "lesson, added to those above",
        "rate",
        "accuracy",
        "adds, points",
        "whole - without it",
    )
    note = f"Means of {len(seeds)} seeds, {epochs} epochs; in brackets 95 % intervals."
    return Table("Lessons", columns, rows, note), found


def main() -> None:
    quick = options(__doc__, "two seeds, two epochs").parse_args().quick
    torch.set_num_threads(1)
    began = time.process_time()
    seeds = range(2 if quick else 5)
    table, found = ablation(seeds, epochs=2 if quick else 40)
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
