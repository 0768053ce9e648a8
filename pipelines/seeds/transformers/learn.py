"""Training a small transformer from a start, and what is read off the way."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipelines.seeds.transformers.criteria import (
    alignment,
    evenness,
    loudness,
    patches_of,
    smoothness,
    stable_rank,
    started,
)
from pipelines.seeds.transformers.networks import (
    GRID,
    KINDS,
    PATCH,
    WORDS,
    BEiT,
    DeiT,
    Transformer,
    teacher,
)


@dataclass(frozen=True)
class Images:
    """Normalised images (n, C, 16, 16) with labels, for training and for judging."""

    name: str
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int


@dataclass(frozen=True)
class Budget:
    """Steps of 64 images, an evaluation each `every`, and the share of them that BEiT guesses."""

    steps: int = 300
    every: int = 20
    guessing: float = 0.25
    batch: int = 64
    rate: float = 2e-3


@dataclass
class Curve:
    """Accuracies at steps, the matrices' figures at the start, half way and the end, and cost."""

    steps: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    figures: list[dict[str, float]] = field(default_factory=list)
    seconds: float = field(default=0.0, compare=False)  # of the processor

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


def batches(images: Images, budget: Budget, seed: int) -> Iterator[Tensor]:
    """Rows of each step: epochs drawn anew, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(images.y), generator=generator)
        yield from order[: len(order) // budget.batch * budget.batch].split(budget.batch)


def taught(images: Images, budget: Budget, seed: int) -> Tensor:
    """What an ordinary network, trained as long, calls the training images."""
    torch.manual_seed(seed)
    model = teacher(images.x.shape[1], images.classes)
    optimiser = torch.optim.AdamW(model.parameters(), budget.rate)
    for _, rows in zip(range(budget.steps), batches(images, budget, seed), strict=False):
        optimiser.zero_grad()
        F.cross_entropy(model(images.x[rows]), images.y[rows]).backward()
        optimiser.step()
    with torch.no_grad():
        return model.eval()(images.x).argmax(1)


def words_of(images: Images, seed: int, rounds: int = 5) -> Tensor:
    """The nearest (n, 16) of 64 means of training patches: visual words."""
    cut = F.unfold(images.x, PATCH, stride=PATCH).mT  # (n, 16, p)
    rows = cut.flatten(0, 1)
    generator = torch.Generator().manual_seed(seed)
    means = rows[torch.randperm(len(rows), generator=generator)[:WORDS]]
    for number in range(rounds + 1):
        nearest = torch.cdist(rows, means).argmin(1)
        if number < rounds:
            total = torch.zeros_like(means).index_add_(0, nearest, rows)
            count = nearest.bincount(minlength=WORDS)[:, None]
            means = torch.where(count > 0, total / count.clamp_min(1), means)
    return nearest.view(len(cut), GRID**2)


@torch.no_grad()
def accuracy(model: nn.Module, images: Images) -> float:
    return (model.eval()(images.test_x).argmax(1) == images.test_y).double().mean().item()


def figures(model: Transformer, images: Images) -> dict[str, float]:
    """What the criteria are made of."""
    layer, sample = model.patches(), images.x[:500]
    patches = patches_of(sample, layer)
    return {
        "evenness": evenness(layer.weight, patches),
        "alignment": alignment(layer.weight, patches),
        "stable rank of patches": stable_rank(layer.weight),
        "smoothness": smoothness(model.positions),
        "loudness": loudness(model, sample),
        "stable rank of positions": stable_rank(model.positions[0]),
    }


def loss_of(model: Transformer, x: Tensor, y: Tensor, called: Tensor | None) -> Tensor:
    """Cross-entropy; of DeiT half of it of what the teacher calls, by the token that hears it."""
    if isinstance(model, DeiT) and called is not None:
        own, heard = model.both(x)
        return (F.cross_entropy(own, y) + F.cross_entropy(heard, called)) / 2
    return F.cross_entropy(model(x), y)


def trained(kind: str, start: str, images: Images, seed: int, budget: Budget = Budget()) -> Curve:
    """A curve; only `start` differs between two of one kind and seed."""
    began = time.process_time()
    torch.manual_seed(seed)
    model = KINDS[kind](images.x.shape[1], images.classes)
    started(model, start, images.x[:500], seed)
    called = taught(images, budget, seed) if kind == "DeiT" else None
    words = words_of(images, seed) if kind == "BEiT" else None
    optimiser = torch.optim.AdamW(model.parameters(), budget.rate, weight_decay=0.05)
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    curve, hiding = Curve(), torch.Generator().manual_seed(seed)
    curve.figures.append(figures(model, images))
    pairs = zip(range(1, budget.steps + 1), batches(images, budget, seed), strict=False)
    for step, rows in pairs:
        for group in optimiser.param_groups:
            group["lr"] = budget.rate * min(1, step / 20)
        x, y = images.x[rows], images.y[rows]
        if words is not None and isinstance(model, BEiT) and step <= budget.guessing * budget.steps:
            hidden = torch.rand(len(x), GRID**2, generator=hiding) < 0.4
            loss = F.cross_entropy(model.guesses(x, hidden)[hidden], words[rows][hidden])
        else:
            loss = loss_of(model, x, y, None if called is None else called[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        mean.update_parameters(model)
        if step % budget.every == 0:
            curve.steps.append(step)
            curve.accuracies.append(accuracy(mean, images))
        if step in (budget.steps // 2, budget.steps):
            curve.figures.append(figures(mean.module, images))
    curve.seconds = time.process_time() - began
    return curve


def smoothed(accuracies: list[float]) -> np.ndarray:
    """Means of three in a row, the first of fewer."""
    return np.array([np.mean(accuracies[max(0, k - 2) : k + 1]) for k in range(len(accuracies))])


def steps_to(curve: Curve, asked: float) -> float:
    """The first evaluation at which the smoothed accuracy is `asked`; infinite if never."""
    reached = np.flatnonzero(smoothed(curve.accuracies) >= asked - 1e-12)
    return float(curve.steps[reached[0]]) if len(reached) else np.inf
