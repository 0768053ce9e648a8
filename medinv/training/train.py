"""Training: one loop, read from top to bottom.

Each epoch leaves a checkpoint, so that an interrupted run goes on where it stood.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from medinv.config import Config
from medinv.data.augment import augmentation
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ConfigError, ModelError
from medinv.metrics import macro_auc
from medinv.models.base import Calibrated, in_batches
from medinv.models.build import build, kind_of
from medinv.training import checkpoint as checkpoints
from medinv.training.composed import composed_loss, composer_of
from medinv.training.optimisers import Optimiser, averaged


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images did."""

    number: int
    cross_entropy: float
    bits_per_pixel: float | None  # of the likelihood; None for a network that has none
    seconds: float
    validation: float | None = None  # AUC of the averaged weights, where the best epoch is kept


@dataclass(frozen=True)
class Trained:
    """A network with its averaged weights, in evaluation mode, and how it came to be."""

    model: Calibrated
    epochs: tuple[Epoch, ...]
    device: str

    @property
    def seconds(self) -> float:
        """How long all epochs took."""
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

    What is minimised is the loss of the model's kind, see `medinv.models`, and with `train.compose`
    the cross-entropy of composed films. Raises DataError where
    images or labels are not what the configuration says, ConfigError where there are fewer images
    than a batch holds, and ModelError where a loss is no longer finite.
    """
    data.check(config.image_shape, config.model.classes)
    recipe, kind, part = config.train, kind_of(config.model), data.train
    steps = len(part) // recipe.batch
    if not steps:
        raise ConfigError(
            f"train.batch: expected at most {len(part)}, the training images; got {recipe.batch}"
        )
    torch.manual_seed(config.seed)
    # A quarter faster at these few channels.
    layout = torch.channels_last if config.model.axes == 2 else torch.contiguous_format
    model = build(config).to(device)
    model = model.to(memory_format=layout)  # type: ignore[call-overload]
    kind.start(model, part.images, part.labels, config)
    average = averaged(model, recipe.average)
    optimiser = Optimiser(model, recipe, steps)
    condition = kind.after_step(model, recipe)
    parts: dict[str, checkpoints.Stateful] = {
        "model": model,
        "average": average,
        "optimiser": optimiser,
    }
    network = cast(Calibrated, average.module)
    best = network
    if recipe.keep == "best":
        best = parts["best"] = copy.deepcopy(network)
    composer = composer_of(part, recipe)
    epochs = [Epoch(**each) for each in checkpoints.resume(checkpoint, parts, config)]

    for number in range(len(epochs), recipe.epochs):
        start, losses = time.monotonic(), []
        model.train()
        torch.manual_seed(config.seed * 100_000 + number)
        augment = augmentation(recipe, config.data.size, config.seed * 100_000 + number)
        drawing = torch.Generator().manual_seed(config.seed * 100_000 + number)
        order = _order(part, np.random.default_rng((config.seed, number)), recipe.whole_patients)
        for step in range(steps):
            batch = order[step * recipe.batch : (step + 1) * recipe.batch]
            images = augment(part.images[batch]).to(device, memory_format=layout)
            labels = torch.from_numpy(part.labels[batch]).to(device)
            if recipe.noise:
                images = images + recipe.noise * torch.randn_like(images)
            with torch.autocast(
                device.partition(":")[0], dtype=torch.bfloat16, enabled=recipe.bfloat16
            ):
                loss = kind.loss(model, images, labels, recipe, number)
                total = loss.total
                if composer is not None:
                    total = total + composed_loss(model, composer, drawing, layout)
            model.zero_grad(set_to_none=True)
            total.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            if not torch.isfinite(norm):
                raise ModelError(
                    f"the loss of epoch {number + 1} is not finite; lower train.learning_rate or, "
                    "of a density, model.clamp",
                    stage="train",
                )
            optimiser.step()
            condition(step, optimiser.factor(number * steps + step))
            average.update_parameters(model)
            losses.append(loss)
        auc = None
        if recipe.keep == "best":
            auc = validation_auc(network, data.validation)
            if auc >= max((epoch.validation or 0.0 for epoch in epochs), default=0.0):
                best.load_state_dict(network.state_dict())
        seconds = time.monotonic() - start
        cross_entropy = float(np.mean([loss.cross_entropy for loss in losses]))
        bits = [loss.bits for loss in losses if loss.bits is not None]
        mean_bits = float(np.mean(bits)) if bits else None
        epochs.append(Epoch(number + 1, cross_entropy, mean_bits, seconds, auc))
        report(epochs[-1])
        checkpoints.save(checkpoint, parts, config, [vars(epoch) for epoch in epochs])
    return Trained(best.eval(), tuple(epochs), device)


def _order(part: Part, generator: np.random.Generator, whole_patients: bool) -> np.ndarray:
    """A random order of the images; with `whole_patients` those of one patient stay together."""
    if not whole_patients:
        return generator.permutation(len(part))
    patients, member_of = np.unique(part.patients, return_inverse=True)
    return np.argsort(generator.permutation(len(patients))[member_of], kind="stable")


def predict(model: Calibrated, part: Part, *, batch: int = 128) -> Tensor:
    """Logits (N, K) of a part's images, without augmentation, on the model's device."""
    return in_batches(model.logits, model, part.images, batch=batch)


def validation_auc(model: Calibrated, part: Part) -> float:
    """Macro AUC of a part; leaves the model in evaluation mode."""
    return macro_auc(part.labels, predict(model.eval(), part).softmax(1).numpy())
