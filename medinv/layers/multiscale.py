"""Levels of falling resolution, with half of the channels leaving after each (Dinh et al. 2016, 1605.08803)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Chain, Invertible
from medinv.layers.reshape import to_channels, to_space


class Multiscale(Invertible):
    """`levels` in turn; after each but the last only the first `keep[i]` channels go on and the rest leave.

    Each level halves the resolution. The output holds every value as one tensor at the last resolution, (N, C 4^L, H / 2^L, W / 2^L): first the
    channels of the last level, then what left the level before it (space moved into channels), and so on to the first. `split` names the parts.
    """

    def __init__(self, levels: Sequence[Chain], keep: Sequence[int]):
        super().__init__()
        if len(keep) != len(levels) - 1:
            raise ConfigError(
                f"Multiscale expects one number of kept channels between any two levels; got {len(levels)} levels and {list(keep)}"
            )
        self.levels = nn.ModuleList(levels)
        self.keep = tuple(keep)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(self._climb(x, lambda level, h: (level(h), h))[0])

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts, log_dets = self.parts(x)
        return self.merge(parts), sum(log_dets)

    def log_det(self, x: Tensor) -> Tensor:
        return self.call_and_log_det(x)[1]

    def initialise(self, x: Tensor) -> Tensor:
        return self.merge(self._climb(x, lambda level, h: (level.initialise(h), h))[0])

    def parts(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The parts of the output, last level first, each at its own resolution, and the log-determinant (N,) of each level, in the same order."""
        return self._climb(x, lambda level, h: level.call_and_log_det(h))

    def _climb(
        self, x: Tensor, step: Callable[[Chain, Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        parts, log_dets = [], []
        for level, kept in zip(self.levels, (*self.keep, 0)):
            x, log_det = step(level, x)
            parts.insert(0, x[:, kept:])
            log_dets.insert(0, log_det)
            x = x[:, :kept]
        return parts, log_dets

    def inverse(self, y: Tensor) -> Tensor:
        x = None
        for level, part in zip(reversed(self.levels), self.split(y)):
            x = level.inverse(part if x is None else torch.cat([x, part], 1))
        return x

    def split(self, y: Tensor) -> list[Tensor]:
        """The parts of an output, last level first, each (N, C_i, H_i, W_i) at its own resolution."""
        depth = len(self.levels)
        if y.ndim != 4 or y.shape[1] % 4**depth:
            raise ShapeError(
                f"Multiscale.inverse expects (N, C, H, W) with C divisible by {4**depth}; got {tuple(y.shape)}"
            )
        incoming = (y.shape[1] // 4**depth, *self.keep)
        widths = [
            (4 * c - kept) * 4 ** (depth - 1 - i)
            for i, (c, kept) in enumerate(zip(incoming, (*self.keep, 0)))
        ]
        return [to_space(part, 2**i) for i, part in enumerate(y.split(widths[::-1], 1))]

    @staticmethod
    def merge(parts: list[Tensor]) -> Tensor:
        """The output made of such parts: the opposite of `split`."""
        return torch.cat([to_channels(part, 2**i) for i, part in enumerate(parts)], 1)
