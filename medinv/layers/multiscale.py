"""Levels of falling resolution, with half of the channels leaving after each (Dinh et al. 2016,
1605.08803).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Chain, Invertible, given
from medinv.layers.reshape import to_channels, to_space


class Multiscale(Invertible):
    """`levels` in turn; after each but the last only the first `keep[i]` channels go on.

    Each level halves the resolution. The output holds every value as one tensor at the last
    resolution: first the channels of the last level, then what left the level before it (space
    moved into channels), and so on to the first. `split` names the parts. As exact as its levels. A
    `condition`, the second argument of every method, goes to the layers that take one.

    Shapes: (N, C, H, W) -> (N, C 4^L, H / 2^L, W / 2^L). Raises ConfigError unless `keep` has one
    number between any two levels; ShapeError for other shapes.

    >>> from medinv.layers import Haar
    >>> layer, x = Multiscale([Chain(Haar()), Chain(Haar())], [1]), torch.randn(2, 1, 8, 8)
    >>> [tuple(part.shape) for part in layer.split(layer(x))]
    [(2, 4, 2, 2), (2, 3, 4, 4)]
    """

    def __init__(self, levels: Sequence[Chain], keep: Sequence[int]):
        super().__init__()
        if len(keep) != len(levels) - 1:
            got = f"{len(levels)} levels and {list(keep)}"
            wanted = "one number of kept channels between any two levels"
            raise ConfigError(f"Multiscale expects {wanted}; got {got}")
        self.levels = nn.ModuleList(levels)
        self.keep = tuple(keep)
        self.conditional = any(level.conditional for level in levels)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """y, everything as one tensor."""
        return merge(self._climb(x, lambda level, h: (level(h, *given(level, condition)), h))[0])

    def call_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both."""
        parts, log_dets = self.parts(x, condition)
        return merge(parts), torch.stack(log_dets).sum(0)

    def log_det(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N,), the sum over levels."""
        return self.call_and_log_det(x, condition)[1]

    def initialise(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Level by level."""
        return merge(
            self._climb(x, lambda level, h: (level.initialise(h, *given(level, condition)), h))[0]
        )

    def parts(
        self, x: Tensor, condition: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The parts of the output, last level first, each at its own resolution, and the
        log-determinant (N,) of each level, in the same order.
        """
        return self._climb(x, lambda level, h: level.call_and_log_det(h, *given(level, condition)))

    def _climb(
        self, x: Tensor, step: Callable[[Chain, Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        parts: list[Tensor] = []
        log_dets: list[Tensor] = []
        for level, kept in zip(self._levels(), (*self.keep, 0), strict=True):
            x, log_det = step(level, x)
            parts.insert(0, x[:, kept:])
            log_dets.insert(0, log_det)
            x = x[:, :kept]
        return parts, log_dets

    def _levels(self) -> list[Chain]:
        return list(self.levels)  # type: ignore[arg-type]

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """x."""
        parts = self.split(y)
        x = parts[0][:, :0]
        for level, part in zip(reversed(self._levels()), parts, strict=True):
            x = level.inverse(torch.cat([x, part], 1), *given(level, condition))
        return x

    def split(self, y: Tensor) -> list[Tensor]:
        """The parts of an output, last level first, each at its own resolution."""
        depth = len(self.levels)
        if y.ndim != 4 or y.shape[1] % 4**depth:
            wanted = f"(N, C, H, W) with C divisible by {4**depth}"
            raise ShapeError(f"Multiscale.inverse expects {wanted}; got {tuple(y.shape)}")
        incoming = (y.shape[1] // 4**depth, *self.keep)
        kept = (*self.keep, 0)
        widths = [4 * c - k for c, k in zip(incoming, kept, strict=True)]
        return split(y, widths[::-1], "Multiscale.inverse")

    @staticmethod
    def merge(parts: list[Tensor]) -> Tensor:
        """The output made of such parts: the opposite of `split`."""
        return merge(parts)


def split(y: Tensor, widths: Sequence[int], layer: str) -> list[Tensor]:
    """Parts of so many channels, each at twice the resolution of the one before it."""
    total = sum(width * 4**i for i, width in enumerate(widths))
    if y.ndim != 4 or y.shape[1] != total:
        raise ShapeError(f"{layer} expects (N, {total}, H, W); got {tuple(y.shape)}")
    stored = y.split([width * 4**i for i, width in enumerate(widths)], 1)
    return [to_space(part, 2**i) for i, part in enumerate(stored)]


def merge(parts: Sequence[Tensor]) -> Tensor:
    """The opposite of `split`."""
    return torch.cat([to_channels(part, 2**i) for i, part in enumerate(parts)], 1)
