"""What a training consists of while it runs: the network and its average, the optimiser, where it
stands; and one step of it.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from medinv.config import Config
from medinv.data.compose import Composites
from medinv.data.sets.labelled import Part
from medinv.errors import ConfigError, ModelError
from medinv.layers import processes
from medinv.layers.reversible import recomputed
from medinv.models.base import Calibrated, InvertibleNetwork
from medinv.models.build import build, kind_of
from medinv.training import checkpoint as checkpoints
from medinv.training.composed import composer_of, films_ahead, films_at
from medinv.training.descent import Captured, Descent, Eager, Objective
from medinv.training.optimisers import Optimiser, averaged
from medinv.training.start import start_from, weights_of


class Run:
    """A training on `part`, of `steps` an epoch, that can be left and taken up again.

    `network` is the averaged one, `best` that of the epoch to keep, `at` where the run stands,
    `given` the weights of another model that it is blended with: those that it began with, unless
    the recipe names others.
    """

    def __init__(self, config: Config, part: Part, device: str, steps: int):
        recipe, kind = config.train, kind_of(config.model)
        self.config, self.steps, self.device = config, steps, torch.device(device)
        torch.manual_seed(config.seed)
        axes = config.model.axes
        # A quarter faster at these few channels.
        self.layout = torch.channels_last if axes == 2 else torch.contiguous_format
        model = build(config).to(device)
        model = model.to(memory_format=self.layout)  # type: ignore[call-overload]
        kind.start(model, part.images, part.labels, config)
        self.given = {} if recipe.start is None else start_from(model, recipe.start)
        if recipe.blend_with is not None:
            self.given = weights_of(model, recipe.blend_with, "train.blend_with")
        processes.same(model)
        self.average = averaged(model, recipe.average)
        self.network = cast(Calibrated, self.average.module)
        self.best = copy.deepcopy(self.network) if recipe.keep == "best" else self.network
        recomputes = getattr(recipe, "recompute", False)
        if recomputes:
            model.trunk = recomputed(cast(InvertibleNetwork, model).trunk)
        if processes.size() > 1 and self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model
        self.optimiser = Optimiser(model, recipe, steps)
        self.after = kind.after_step(model, recipe)
        self.at = checkpoints.Position()
        self._began = time.monotonic()
        self.composer = composer_of(part, recipe)
        objective = Objective(model, kind, recipe, self.layout)
        self._descend: Descent = Eager(
            objective
            if processes.size() == 1
            else DistributedDataParallel(objective, broadcast_buffers=False)
        )
        if processes.size() == 1 and self.device.type == "cuda" and not recomputes:
            self._descend = Captured(objective)

    def begin(self, number: int) -> None:
        """Make ready for the next step of epoch `number`, from 0; its first unless resumed."""
        self._began = time.monotonic()
        self.model.train()
        seed = self.config.seed * 100_000 + number
        torch.manual_seed(seed)
        if self.at.step:
            torch.set_rng_state(self.at.random["torch"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(self.at.random["cuda"], self.device)

    def ahead(self, workers: int) -> Iterable[Composites | None]:
        """The composed films of the present epoch's steps to come, by so many processes; None for
        each where the recipe composes none.
        """
        steps = range(self.at.step, self.steps)
        if self.composer is None:
            return [None] * len(steps)
        return films_ahead(self.composer, self.config.seed, len(self.at.epochs), steps, workers)

    def step(
        self,
        images: Tensor,
        labels: Tensor,
        stop: bool = False,
        composed: Composites | None = None,
    ) -> tuple[float, bool]:
        """One step of the optimiser; its cross-entropy, and whether any process is to stop.

        `composed`: this step's films from `ahead`; without them they are composed now. Raises
        ModelError where the loss is no longer finite.
        """
        recipe, number = self.config.train, len(self.at.epochs)
        images = images.to(self.device, memory_format=self.layout)
        if recipe.noise:
            images = images + recipe.noise * processes.normal_like(images)
        if self.composer is not None and composed is None:
            composed = films_at(self.composer, self.config.seed, number, self.at.step)
        films = [] if composed is None else [x.to(self.device) for x in vars(composed).values()]
        parts = self._descend((images, labels.to(self.device), *films), number)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        if not torch.isfinite(norm):
            raise ModelError(
                f"the loss of epoch {number + 1} is not finite; lower train.learning_rate or, of a "
                "density, model.clamp",
                stage="train",
            )
        self.optimiser.step()
        self.after(self.at.step, self.factor())
        self.average.update_parameters(self.model)
        self.at.step += 1
        cross_entropy, bits, stopping = processes.mean_of(
            (*parts.tolist(), float(stop)), self.device
        )
        self.at.losses.append([cross_entropy, None if math.isnan(bits) else bits])
        return cross_entropy, stopping > 0

    def factor(self) -> float:
        """The schedule's factor on the learning rate at the next step."""
        return self.optimiser.factor(len(self.at.epochs) * self.steps + self.at.step)

    def seconds(self) -> float:
        """How long the present epoch took, pauses not counted."""
        return self.at.seconds + time.monotonic() - self._began

    def keep(self) -> None:
        """Take the averaged weights as the best so far."""
        if self.best is not self.network:
            self.best.load_state_dict(self.network.state_dict())

    def close(self, epoch: dict[str, Any]) -> None:
        """Put the record of a whole epoch to those before it."""
        self.at = checkpoints.Position(epochs=[*self.at.epochs, epoch])

    def save(self, path: Path, belongs: str) -> None:
        """Write the checkpoint; the first process alone does. Raises OutputError."""
        if processes.rank():
            return
        at = copy.copy(self.at)
        at.planned = self.config.train.epochs
        if at.step:
            at.seconds = self.seconds()
            at.random = {"torch": torch.get_rng_state()}
            if self.device.type == "cuda":
                at.random["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoints.save(path, self.parts(), belongs, at)

    def resume(self, path: Path, belongs: str, say: Callable[[str], None]) -> None:
        """Go on from a checkpoint, if it is there.

        Raises ModelError where it cannot be used, and ConfigError where it has done more epochs
        than the configuration has.
        """
        self.at = at = checkpoints.resume(path, self.parts(), belongs)
        wanted, done = self.config.train.epochs, len(at.epochs)
        if done > wanted or (done == wanted and at.step):
            raise ConfigError(
                f"train.epochs: this run has done {done} of {at.planned} epochs already; ask for "
                f"as many or more, not {wanted}",
                path=path,
            )
        if at.step or done:
            say(f"going on after epoch {done}, step {at.step} of {self.steps}")
        if at.planned not in (0, wanted):
            say(
                f"train.epochs: {at.planned} -> {wanted}; the learning rate goes on along the "
                f"schedule of {wanted} epochs, at {self.factor():.3f} of its height"
            )

    def parts(self) -> dict[str, checkpoints.Stateful]:
        """All that the next step depends on, but where the run stands; and the weights to keep."""
        parts: dict[str, checkpoints.Stateful] = {
            "model": self.model,
            "average": self.average,
            "optimiser": self.optimiser,
            "after": self.after,
        }
        return parts if self.best is self.network else {**parts, "best": self.best}
