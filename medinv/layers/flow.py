"""A density from a bijection: what it makes of an image is distributed as a base says."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Invertible, LeftInvertible


class Base(Protocol):
    """What a base must do; every `torch.distributions.Distribution` of images does."""

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one value."""
        ...

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch, *event) -> (*batch)."""
        ...

    def sample(self, sample_shape: torch.Size) -> Tensor:
        """(*sample_shape, *event)."""
        ...

    def rsample(self, sample_shape: torch.Size) -> Tensor:
        """The same, differentiable in the parameters."""
        ...


class StandardNormal(nn.Module):
    """Independent normal deviates of the given shape, which follow `.to()`.

    >>> StandardNormal((2, 4, 4)).log_prob(torch.zeros(3, 2, 4, 4)).shape
    torch.Size([3])
    """

    origin: Tensor

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.register_buffer("origin", torch.zeros(tuple(shape)), persistent=False)

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one value."""
        return self.origin.shape

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch, *event) -> (*batch)."""
        exact = torch.promote_types(value.dtype, torch.float32)
        squares = value.to(exact).square().flatten(value.ndim - self.origin.ndim).sum(-1)
        return -0.5 * (squares + self.origin.numel() * math.log(2 * math.pi))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """(*sample_shape, *event)."""
        return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """(*sample_shape, *event)."""
        return self.origin + torch.randn(
            *sample_shape, *self.origin.shape, dtype=self.origin.dtype, device=self.origin.device
        )


class Flow(nn.Module):
    """The distribution of `x = trunk^-1(z)` with z from `base`:

        log p(x) = log base(trunk(x)) + log |det d trunk / dx|

    With the shapes of `torch.distributions`: `event_shape` is that of one image, `log_prob` takes
    (*batch, *event) and gives (*batch), `sample` and `rsample` give (*sample_shape, *event).

    Arguments:
        trunk: a bijection; with a condition, every method takes it as its last argument, one a
            value, (*batch, K) or (*batch, K, H, W).
        base: a distribution whose event is one image of the trunk's output.

    Raises ConfigError for a trunk that widens, which has no density, or a base of single values.

    Source: Rezende and Mohamed 2015, 1505.05770; Papamakarios et al. 2021, 1912.02762.

    >>> from medinv.layers import ActNorm, Chain, Haar
    >>> flow = Flow(Chain(Haar(), ActNorm(4)), StandardNormal((4, 4, 4)))
    >>> flow.log_prob(torch.randn(5, 1, 8, 8)).shape, flow.sample((2, 3)).shape
    (torch.Size([5]), torch.Size([2, 3, 1, 8, 8]))
    """

    def __init__(self, trunk: Invertible, base: Base):
        super().__init__()
        if any(isinstance(module, LeftInvertible) for module in trunk.modules()):
            raise ConfigError("Flow expects a bijection; got a trunk that widens")
        if len(base.event_shape) < 2:
            advice = "wrap it in torch.distributions.Independent"
            got = tuple(base.event_shape)
            raise ConfigError(f"Flow expects a base of whole images; got events {got}: {advice}")
        self.trunk, self.base = trunk, base

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one image."""
        with torch.no_grad():
            return self._draw((), self.base.sample(torch.Size()), None).shape

    def log_prob(self, value: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p of images (*batch, *event), (*batch)."""
        axes = len(self.base.event_shape)
        if value.ndim < axes:
            got = tuple(value.shape)
            raise ShapeError(f"Flow.log_prob expects (*batch, C, *size); got {got}")
        batch = value.shape[: value.ndim - axes]
        images = value.reshape(-1, *value.shape[value.ndim - axes :])
        given = self._given(condition, batch)
        z, log_det = self.trunk.call_and_log_det(images, *given)
        if z.shape[1:] != self.base.event_shape:
            wanted, got = tuple(self.base.event_shape), tuple(z.shape[1:])
            raise ShapeError(f"the base of this flow expects {wanted}; the trunk made {got}")
        return (self.base.log_prob(z) + log_det).view(batch)

    def sample(self, sample_shape: Sequence[int] = (), condition: Tensor | None = None) -> Tensor:
        """Images (*sample_shape, *event), without derivatives."""
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            return self._draw(shape, self.base.sample(shape), condition)

    def rsample(self, sample_shape: Sequence[int] = (), condition: Tensor | None = None) -> Tensor:
        """The same, differentiable in the trunk's and the base's parameters."""
        shape = torch.Size(sample_shape)
        return self._draw(shape, self.base.rsample(shape), condition)

    def _draw(self, shape: Sequence[int], z: Tensor, condition: Tensor | None) -> Tensor:
        latents = z.reshape(-1, *self.base.event_shape)
        images = self.trunk.inverse(latents, *self._given(condition, shape))
        return images.reshape(*shape, *images.shape[1:])

    def _given(self, condition: Tensor | None, batch: Sequence[int]) -> tuple[Tensor, ...]:
        if condition is None:
            return ()
        if tuple(condition.shape[: len(batch)]) != tuple(batch):
            got = tuple(condition.shape)
            raise ShapeError(f"Flow expects one condition a value, {tuple(batch)}; got {got}")
        return (condition.reshape(-1, *condition.shape[len(batch) :]),)
