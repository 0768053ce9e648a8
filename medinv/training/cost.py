"""What a training will cost, from some steps of it and one inverse."""

import resource
import statistics
import sys
import time
from dataclasses import dataclass
from typing import cast

import torch

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.models.base import InvertibleNetwork
from medinv.training.batches import Batches
from medinv.training.run import Run
from medinv.training.train import predict

TIMED = 3  # steps, after one that is not


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes, as measured on this machine under its present load."""

    step: float
    epoch: float  # steps and the look at validation images
    epochs: int
    memory: int  # the most that this process has held
    inverse: float  # of one image, float64
    parameters: int

    @property
    def training(self) -> float:
        """All epochs."""
        return self.epochs * self.epoch


def measure_cost(config: Config, data: LabelledImages, device: str = "cpu") -> Cost:
    """Take a few steps of a training that is thrown away.

    Raises what `train` raises at its start.
    """
    data.check(config.image_shape, config.model.classes)
    batches = Batches(data.train, config, device=device)
    run = Run(config, data.train, device, batches.steps)
    run.begin(0)
    times, start = list[float](), time.perf_counter()
    for images, labels in batches.epoch(0):
        run.step(images, labels)
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
        if len(times) > TIMED:
            break
    step = statistics.median(times[1:] or times)
    part = data.validation
    some = Part(part.images[:32], part.labels[:32], part.patients[:32])
    start = time.perf_counter()
    predict(run.network.eval(), some)
    looking = (time.perf_counter() - start) / len(some) * len(part)
    memory = _most_memory(device)
    return Cost(
        step=step,
        epoch=step * batches.steps + looking,
        epochs=config.train.epochs,
        memory=memory,
        inverse=_inverse(cast(InvertibleNetwork, run.network), data.validation),
        parameters=sum(each.numel() for each in run.network.parameters()),
    )


@torch.no_grad()
def _inverse(network: InvertibleNetwork, part: Part) -> float:
    """The second inverse of an image: the first prepares factors that are kept."""
    network = network.cpu().double()
    z = network.features(torch.from_numpy(part.images[:1].copy()).double())
    for _ in range(2):
        start = time.perf_counter()
        network.invert(z)
        seconds = time.perf_counter() - start
    return seconds


def _most_memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held
