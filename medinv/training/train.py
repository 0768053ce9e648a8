"""Training: one loop, read from top to bottom. Each epoch leaves a checkpoint, so that an interrupted run goes on where it stood."""

import copy
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medinv.config import Config, TrainConfig
from medinv.data.augment import augmentation
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ModelError
from medinv.metrics import macro_auc
from medinv.models.build import build
from medinv.models.base import InvertibleNetwork
from medinv.models.density import Classifier
from medinv.models.penalty import Accretive, towards_isometry
from medinv.models.pooled import PooledClassifier
from medinv.training.muon import Muon


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images did. Likelihood is in bits a pixel; None for a network that has none."""

    number: int
    cross_entropy: float
    bits_per_pixel: float | None
    seconds: float
    validation: float | None = (
        None  # AUC of the averaged weights on validation images, where the best epoch is kept
    )


@dataclass(frozen=True)
class Trained:
    """A network with its averaged weights, in evaluation mode, and how it came to be."""

    model: nn.Module
    epochs: tuple[Epoch, ...]
    device: str

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


def train(
    config: Config,
    data: LabelledImages,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train the network of `config` on `data.train`; resumes from `checkpoint` if that file stands.

    Invertible classifiers with a density minimise -log p(x, y) a dimension, on grey levels dequantised by U(-0.5, 0.5), plus `cross_entropy` times the
    cross-entropy of the label; all others minimise the cross-entropy alone, and `orthogonality` keeps inverted kernels well conditioned.
    Raises ModelError if a loss is no longer finite.
    """
    recipe = config.train
    torch.manual_seed(config.seed)
    layout = (
        torch.channels_last if config.model.axes == 2 else torch.contiguous_format
    )  # a quarter faster at these few channels
    model = build(config).to(device).to(memory_format=layout)
    _begin(model, config, data.train, device)
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True
    )
    optimisers = make_optimisers(model, recipe)
    steps = len(data.train) // recipe.batch
    factor = _warm(recipe, steps)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, factor) for optimiser in optimisers]
    best = copy.deepcopy(average.module) if recipe.keep == "best" else average.module
    parts = {
        "model": model,
        "average": average,
        **_named("optimiser", optimisers),
        **_named("schedule", schedules),
    }
    if recipe.keep == "best":
        parts["best"] = best
    epochs = _resume(checkpoint, parts, config)
    accretive = Accretive(model, recipe.accretive) if recipe.accretive else None

    for number in range(len(epochs), recipe.epochs):
        start, losses = time.monotonic(), []
        model.train()
        torch.manual_seed(config.seed * 100_000 + number)
        weight = _cross_entropy_weight(recipe, number)
        augment = augmentation(recipe, config.data.size, config.seed * 100_000 + number)
        order = _order(
            data.train, np.random.default_rng((config.seed, number)), recipe.whole_patients
        )
        for step in range(steps):
            batch = order[step * recipe.batch : (step + 1) * recipe.batch]
            images = augment(data.train.images[batch]).to(device, memory_format=layout)
            labels = torch.from_numpy(data.train.labels[batch]).to(device)
            if recipe.noise:
                images = images + recipe.noise * torch.randn_like(images)
            with torch.autocast(
                device.partition(":")[0], dtype=torch.bfloat16, enabled=recipe.bfloat16
            ):
                loss, cross_entropy, bits = _objective(
                    model, images, labels, weight, recipe.label_smoothing
                )
            model.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            if not torch.isfinite(norm):
                raise ModelError(
                    f"the loss of epoch {number + 1} is not finite; lower train.learning_rate or model.clamp",
                    stage="train",
                )
            for optimiser, schedule in zip(optimisers, schedules):
                optimiser.step()
                schedule.step()
            if recipe.orthogonality:
                rate = recipe.orthogonality * max(
                    recipe.orthogonality_floor, factor(number * steps + step)
                )
                towards_isometry(model, rate) if accretive is None else accretive.step(step, rate)
            average.update_parameters(model)
            losses.append((cross_entropy, bits))
        mean_ce, mean_bits = np.mean(losses, axis=0)
        auc = (
            validation_auc(average.module, data.validation, device)
            if recipe.keep == "best"
            else None
        )
        if auc is not None and auc >= max((epoch.validation for epoch in epochs), default=0.0):
            best.load_state_dict(average.module.state_dict())
        epochs.append(
            Epoch(
                number + 1,
                float(mean_ce),
                float(mean_bits) if isinstance(model, Classifier) else None,
                time.monotonic() - start,
                auc,
            )
        )
        report(epochs[-1])
        _save(checkpoint, parts, config, epochs)
    return Trained(best.eval(), tuple(epochs), device)


@torch.no_grad()
def _begin(model: nn.Module, config: Config, part: Part, device: str) -> None:
    """What starts from data: the prior of a density, and norms, from some training images."""
    if isinstance(model, Classifier):
        model.prior.copy_(torch.from_numpy(np.bincount(part.labels) / len(part)).log())
        first = np.random.default_rng(config.seed).permutation(len(part))[: 4 * config.train.batch]
        model.trunk.initialise(
            _dequantised(torch.from_numpy(part.images[first]).float().to(device))
        )
    elif isinstance(model, PooledClassifier):
        model.trunk.initialise(
            torch.from_numpy(part.images[: config.train.batch]).float().to(device)
        )


def _cross_entropy_weight(recipe: TrainConfig, epoch: int) -> float:
    """Constant, or falling geometrically over the second half: decide first, then make the density right, so that edits decode."""
    start, end = recipe.cross_entropy, recipe.cross_entropy_end
    if end is None:
        return start
    half = recipe.epochs / 2
    return start * (end / start) ** max(0.0, (epoch + 1 - half) / half)


def _order(part: Part, generator: np.random.Generator, whole_patients: bool) -> np.ndarray:
    """A random order of the images; with `whole_patients` those of one patient stay together."""
    if not whole_patients:
        return generator.permutation(len(part))
    patients, member_of = np.unique(part.patients, return_inverse=True)
    return np.argsort(generator.permutation(len(patients))[member_of], kind="stable")


def _objective(
    model: nn.Module, images: Tensor, labels: Tensor, weight: float, smoothing: float
) -> tuple[Tensor, float, float]:
    """The loss, and for the record the cross-entropy and the bits a pixel."""
    if not isinstance(model, Classifier):
        cross_entropy = F.cross_entropy(
            model.logits(images).float(), labels, label_smoothing=smoothing
        )
        return cross_entropy, cross_entropy.item(), 0.0
    reading = model.read(_dequantised(images))
    nll = -reading.log_likelihoods.gather(1, labels[:, None]).mean() / images[0].numel()
    cross_entropy = F.cross_entropy(model.calibrated(reading.logits), labels)
    return nll + weight * cross_entropy, cross_entropy.item(), nll.item() / math.log(2)


def _dequantised(images: Tensor) -> Tensor:
    """Grey levels plus U(-0.5, 0.5): a density on reals that integrates to the probability of the stored integers (1511.01844)."""
    return images + torch.rand_like(images) - 0.5


def make_optimisers(model: nn.Module, recipe: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW for all; or Muon for the kernels, and SGD for the head and the rest at rates that served every network tried."""
    if recipe.optimiser == "adamw":
        return [
            torch.optim.AdamW(
                _groups(model, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.99)
            )
        ]
    kernels = [parameter for parameter in model.parameters() if parameter.ndim > 2]
    head = list(model.head.parameters())
    taken = {id(parameter) for parameter in (*kernels, *head)}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups = [{"params": rest, "lr": 0.05}, {"params": head, "lr": 0.3}]
    return [
        Muon(
            kernels,
            recipe.learning_rate,
            rescale=not recipe.orthogonality or recipe.accretive is not None,
        ),
        torch.optim.SGD(groups, momentum=0.85, nesterov=True),
    ]


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Decay the kernels of ordinary networks only: inverted kernels, class means, scales and biases keep their size."""
    free, decayed = [], []
    for name, parameter in model.named_parameters():
        ordinary = not isinstance(model, InvertibleNetwork) or ".net." in name
        (decayed if ordinary and parameter.ndim > 1 else free).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def _named(name: str, parts: list) -> dict:
    return {f"{name}{i or ''}": part for i, part in enumerate(parts)}


def _warm(recipe: TrainConfig, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step: a linear warm-up, then half a cosine or a straight line down."""
    warmup, total = recipe.warmup * steps, recipe.epochs * steps

    def factor(step: int) -> float:
        gone = max(0, step - warmup) / max(1, total - warmup)
        fall = 1 - gone if recipe.schedule == "linear" else (1 + math.cos(math.pi * gone)) / 2
        return min(1.0, (step + 1) / max(1, warmup)) * (fall + 0.005)

    return factor


def _save(path: Path | None, parts: dict, config: Config, epochs: list[Epoch]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_suffix(".tmp")
    torch.save(
        {"config": config.sha256(), "epochs": [vars(epoch) for epoch in epochs], **state}, temporary
    )
    os.replace(temporary, path)


def _resume(path: Path | None, parts: dict, config: Config) -> list[Epoch]:
    if path is None or not path.is_file():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != config.sha256():
        raise ModelError(
            "this checkpoint belongs to another configuration; remove it or name another output folder",
            path=path,
            stage="train",
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return [Epoch(**epoch) for epoch in state["epochs"]]


@torch.no_grad()
def predict(
    model: nn.Module,
    part: Part,
    *,
    dtype: torch.dtype = torch.float32,
    batch: int = 128,
    device: str = "cpu",
) -> Tensor:
    """Logits (N, K) of a part's images, without augmentation."""
    return torch.cat(
        [
            model.logits(torch.from_numpy(part.images[i : i + batch]).to(device, dtype)).cpu()
            for i in range(0, len(part), batch)
        ]
    )


def validation_auc(model: nn.Module, part: Part, device: str = "cpu") -> float:
    """Macro AUC of a part; leaves the model in evaluation mode."""
    return macro_auc(part.labels, predict(model.eval(), part, device=device).softmax(1).numpy())
