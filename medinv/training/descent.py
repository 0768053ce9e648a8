"""What training goes down, and its gradients: one kernel at a time, or on a CUDA device as a graph.

The networks here are many small layers. A graphics processor waits for the next kernel to be named
most of the time; captured once, all kernels of a step are named at once (CUDA graphs).
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from medinv.config import TrainConfig
from medinv.data.compose import Composites
from medinv.layers.linalg.symbol import unseen
from medinv.models.base import Calibrated, Kind
from medinv.training.composed import composed_loss


class Objective(nn.Module):
    """The loss as a module, which is what processes share gradients of."""

    def __init__(
        self, network: Calibrated, kind: Kind, recipe: TrainConfig, layout: torch.memory_format
    ):
        super().__init__()
        self.network, self.kind, self.recipe, self.layout = network, kind, recipe, layout

    def forward(self, inputs: Sequence[Tensor], epoch: int) -> tuple[Tensor, Tensor]:
        """The loss () of a batch (images, labels) and, where the recipe composes films, of theirs
        (their images, targets, blanked); and for the record the cross-entropy and the bits a pixel
        (2,), NaN where there are none.
        """
        images, labels, *films = inputs
        recipe, device = self.recipe, images.device.type
        with torch.autocast(
            device, dtype=torch.bfloat16, enabled=recipe.bfloat16, cache_enabled=False
        ):
            loss = self.kind.loss(self.network, images, labels, recipe, epoch)
            total = loss.total
            if recipe.compose is not None:
                composed = Composites(*films)
                total = total + composed_loss(self.network, composed, recipe.compose, self.layout)
        none = loss.cross_entropy.new_full((), math.nan)
        bits = none if loss.bits is None else loss.bits
        return total, torch.stack([loss.cross_entropy, bits]).detach()


class Descent(Protocol):
    """Gives the parameters their gradients at a batch; returns the objective's record (2,)."""

    def __call__(self, inputs: tuple[Tensor, ...], epoch: int) -> Tensor:
        """Of one batch, in one epoch from 0."""


class Eager:
    """One kernel at a time."""

    def __init__(self, objective: nn.Module):
        self._objective = objective

    def __call__(self, inputs: tuple[Tensor, ...], epoch: int) -> Tensor:
        """Of one batch, in one epoch from 0."""
        self._objective.zero_grad(set_to_none=True)
        total, parts = self._objective(inputs, epoch)
        total.backward()
        return parts


class Captured:
    """All kernels of a batch as one CUDA graph, captured at the first batch of a shape, and again
    where the recipe changes with the epoch. Networks that cannot be captured, since what they
    compute depends on values, are trained one kernel at a time, with a warning.
    """

    def __init__(self, objective: Objective):
        self._objective, self._eager = objective, Eager(objective)
        self._key: tuple | None = None
        self._graph: Any = None
        self._inputs: tuple[Tensor, ...] = ()
        self._parts = torch.empty(0)

    def __call__(self, inputs: tuple[Tensor, ...], epoch: int) -> Tensor:
        """Of one batch, in one epoch from 0."""
        falls = getattr(self._objective.recipe, "cross_entropy_end", None) is not None
        key = (*(each.shape for each in inputs), epoch if falls else 0)
        if key != self._key:
            self._key = key
            self._capture(inputs, epoch)
        if self._graph is None:
            return self._eager(inputs, epoch)
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._parts

    def _capture(self, inputs: tuple[Tensor, ...], epoch: int) -> None:
        self._graph = None
        self._inputs = tuple(each.clone() for each in inputs)
        graph = torch.cuda.CUDAGraph()
        with unseen(), _as_it_was(self._objective):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._eager(self._inputs, epoch)  # libraries make what they keep
                can_be = self._waits_for_nothing(epoch)
            torch.cuda.current_stream().wait_stream(aside)
            if not can_be:
                return
            self._objective.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph):
                total, self._parts = self._objective(self._inputs, epoch)
                total.backward()
        self._graph = graph

    def _waits_for_nothing(self, epoch: int) -> bool:
        """Whether no value is looked at on the way, which a failed capture would not survive."""
        torch.cuda.set_sync_debug_mode("error")
        try:
            self._eager(self._inputs, epoch)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            warnings.warn(f"trained without a CUDA graph, more slowly: {reason}", stacklevel=2)
            return False
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return True


@contextmanager
def _as_it_was(module: nn.Module) -> Iterator[None]:
    """What passes on the way to a capture must not move: buffers, and the random numbers."""
    device = next(module.parameters()).device
    random = torch.cuda.get_rng_state(device)
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in kept:
                    buffer.copy_(kept[name])
        torch.cuda.set_rng_state(random, device)
