"""Training: one loop, read from top to bottom.

A checkpoint follows each epoch, some minutes of work and Ctrl-C, so that an interrupted run goes on
at the step where it stood, to the weights that it would have had.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.load import check_classes
from medinv.layers import processes
from medinv.metrics import macro_auc
from medinv.models.base import Calibrated, in_batches
from medinv.models.density import Classifier
from medinv.training import checkpoint as checkpoints
from medinv.training.batches import Batches
from medinv.training.journal import Journal, Silent
from medinv.training.run import Run
from medinv.training.silence import silence
from medinv.training.start import blend

VALUES = 2**20  # of images that are predicted together, unless one alone has more


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images did."""

    number: int
    cross_entropy: float
    bits_per_pixel: float | None  # of the likelihood; None for a network that has none
    seconds: float
    validation: float | None = None  # macro AUC of the averaged weights on validation images
    validation_cross_entropy: float | None = None  # uncalibrated
    validation_accuracy: float | None = None
    learning_rate: float | None = None  # the schedule's factor at its end


@dataclass(frozen=True)
class Step:
    """What one step of the optimiser did, the `number`th of `steps` in an epoch."""

    epoch: int
    number: int
    steps: int
    cross_entropy: float


@dataclass(frozen=True)
class Options:
    """How a run is carried out; nothing here changes its weights."""

    step: Callable[[Step], None] = lambda step: None
    say: Callable[[str], None] = lambda text: None  # takes what a user should know
    resumed: Callable[[tuple[Epoch, ...]], None] = lambda epochs: None  # those done earlier
    stop: Callable[[], bool] = lambda: False  # asked after each step: whether to leave
    minutes: float = 5.0  # between checkpoints within an epoch
    workers: int = 0  # processes that read and transform images ahead
    log: Path | None = None  # folder of the log that `medinv.training.replay` reads
    snapshots: int = 0  # states kept beside it, to replay from


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
    options: Options = Options(),
) -> Trained:
    """Train the network of `config` on `data.train`; resumes from `checkpoint` if that file stands.

    What is minimised is the loss of the model's kind, see `medinv.models`, and with `train.compose`
    the cross-entropy of composed films. The same seed on the same device gives the same weights.
    Raises DataError where images or labels are not what the configuration says, ConfigError where
    there are fewer images than a batch holds or a transform cannot be used, ModelError where a loss
    is no longer finite or the checkpoint is of another run, and KeyboardInterrupt, after writing
    the checkpoint, once `options.stop` says so.
    """
    check_classes(config)
    data.check(config.image_shape, config.model.classes)
    batches = Batches(data.train, config, workers=options.workers, device=device)
    run = Run(config, data.train, device, batches.steps)
    sha256 = "" if checkpoint is None and options.log is None else data.sha256()
    belongs = checkpoints.identity(config, sha256)
    if checkpoint is not None:
        run.resume(checkpoint, belongs, options.say)
    options.resumed(tuple(Epoch(**each) for each in run.at.epochs))
    journal = _journal(run, sha256, belongs, options)

    for number in range(len(run.at.epochs), config.train.epochs):
        run.begin(number)
        journal.begin(batches.rows(number))
        saved = time.monotonic()
        composed = run.ahead(options.workers)
        for (images, labels), films in zip(
            batches.epoch(number, run.at.step), composed, strict=True
        ):
            cross_entropy, stop = run.step(images, labels, options.stop(), films)
            journal.step(cross_entropy)
            options.step(Step(number + 1, run.at.step, batches.steps, cross_entropy))
            due = time.monotonic() - saved > 60 * options.minutes
            if checkpoint is not None and (stop or due):
                journal.write()
                run.save(checkpoint, belongs)
                saved = time.monotonic()
            if stop:
                raise KeyboardInterrupt
        journal.write()
        epoch = closed(run, data.validation)
        journal.close()
        report(epoch)
        if checkpoint is not None:
            run.save(checkpoint, belongs)
    blend(run.best, run.given, config.train.blend)
    if run.composer is not None and getattr(config.train, "silent", False):
        silence(cast(Classifier, run.best), run.composer, config.seed)
    return Trained(run.best.eval(), tuple(Epoch(**each) for each in run.at.epochs), device)


def _journal(run: Run, data_sha256: str, belongs: str, options: Options) -> Silent:
    """What the first process writes the log with, where one is asked for; opened."""
    if options.log is None or processes.rank():
        return Silent()
    journal = Journal(options.log, run, run.config, data_sha256, options.snapshots, belongs)
    journal.open()
    return journal


def closed(run: Run, validation: Part) -> Epoch:
    """The record of an epoch whose steps are done, with what validation images say of it."""
    before = max((each["validation"] or 0.0 for each in run.at.epochs), default=0.0)
    logits = predict(run.network.eval(), validation)
    auc = macro_auc(validation.labels, logits.softmax(1).numpy())
    if auc >= before:
        run.keep()
    losses, labels = run.at.losses, torch.from_numpy(validation.labels)
    bits = [each for _, each in losses if each is not None]
    epoch = Epoch(
        number=len(run.at.epochs) + 1,
        cross_entropy=float(np.mean([each for each, _ in losses])),
        bits_per_pixel=float(np.mean(bits)) if bits else None,
        seconds=run.seconds(),
        validation=auc,
        validation_cross_entropy=torch.nn.functional.cross_entropy(logits.float(), labels).item(),
        validation_accuracy=(logits.argmax(1) == labels).double().mean().item(),
        learning_rate=run.factor(),
    )
    run.close(vars(epoch))
    return epoch


def predict(model: Calibrated, part: Part, *, batch: int = 128) -> Tensor:
    """Logits (N, K) of a part's images, without augmentation, on the model's device."""
    values = int(np.prod(part.images.shape[1:]))
    few = max(1, min(batch, VALUES // values))
    return in_batches(model.logits, model, part.images, batch=few)


def validation_auc(model: Calibrated, part: Part) -> float:
    """Macro AUC of a part; leaves the model in evaluation mode."""
    return macro_auc(part.labels, predict(model.eval(), part).softmax(1).numpy())
