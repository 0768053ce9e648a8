"""A density a scale: each detail band given the coarser image (Wavelet Flow, Yu et al. 2020,
2010.13821).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.base import Chain, Invertible, check_images
from medinv.layers.haar import Haar
from medinv.layers.multiscale import merge, split


class ConditionalMultiscale(Invertible):
    """A Haar pyramid: `z_i = details[i](d_i | a_i)` for the details d_i of each level given its
    averages a_i, and `z = coarsest(a_L)` for the averages that are left.

    Each level can be trained by itself on its own resolution, which is what makes 128 to 256 pixels
    affordable: `level(i, x)` is that part of `call_and_log_det`. The coarse latent can be edited
    and the details kept. As exact as its chains.

    Arguments:
        channels: C of the images.
        details: one chain a level, finest first, of 3 C channels conditional on C.
        coarsest: a chain of C channels, or None to leave the averages as they are.

    Shapes: (N, C, H, W) -> (N, C 4^L, H / 2^L, W / 2^L), the coarsest first, as `Multiscale`.
    Raises ConfigError without a level; ShapeError unless 2^L divides H and W.

    >>> from medinv.layers import AffineCoupling
    >>> bands = [Chain(AffineCoupling(3, 8, condition=1)) for _ in range(2)]
    >>> layer, x = ConditionalMultiscale(1, bands), torch.randn(2, 1, 8, 8)
    >>> layer(x).shape, torch.allclose(layer.inverse(layer(x)), x, atol=1e-5)
    (torch.Size([2, 16, 2, 2]), True)
    """

    def __init__(self, channels: int, details: Sequence[Chain], coarsest: Chain | None = None):
        super().__init__()
        if channels < 1 or not details:
            got = f"{channels} channels and {len(details)} levels"
            raise ConfigError(f"ConditionalMultiscale expects at least one of each; got {got}")
        self.channels, self.haar = channels, Haar()
        self.details = nn.ModuleList(details)
        self.coarsest = Chain() if coarsest is None else coarsest

    def forward(self, x: Tensor) -> Tensor:
        """z, everything as one tensor."""
        return self.call_and_log_det(x)[0]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        check_images(x, self.channels, type(self).__name__, multiple_of=2 ** len(self.details))
        parts: list[Tensor] = []
        log_dets: list[Tensor] = []
        for index in range(len(self.details)):
            z, log_det, x = self._level(index, x)
            parts.insert(0, z)
            log_dets.append(log_det)
        z, log_det = self.coarsest.call_and_log_det(x)
        parts[0] = torch.cat([z, parts[0]], 1)
        return merge(parts), torch.stack([*log_dets, log_det]).sum(0)

    def level(self, index: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """The latent of level `index` (finest 0; the last is `coarsest`) and its log_det (N,)."""
        for _ in range(index):
            x = self.haar(x)[:, : self.channels]
        if index == len(self.details):
            return self.coarsest.call_and_log_det(x)
        return self._level(index, x)[:2]

    def _level(self, index: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bands = self.haar(x)
        averages, details = bands[:, : self.channels], bands[:, self.channels :]
        z, log_det = self._levels()[index].call_and_log_det(details, averages)
        return z, log_det, averages

    def _levels(self) -> list[Chain]:
        return list(self.details)  # type: ignore[arg-type]

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        depth = len(self.details)
        widths = [4 * self.channels, *[3 * self.channels] * (depth - 1)]
        parts = split(y, widths, type(self).__name__)
        x = self.coarsest.inverse(parts[0][:, : self.channels])
        parts[0] = parts[0][:, self.channels :]
        for level, z in zip(reversed(self._levels()), parts, strict=True):
            x = self.haar.inverse(torch.cat([x, level.inverse(z, x)], 1))
        return x

    def log_det(self, x: Tensor) -> Tensor:
        """(N,), the sum over levels."""
        return self.call_and_log_det(x)[1]

    def initialise(self, x: Tensor) -> Tensor:
        """Level by level."""
        start = x
        for level in self._levels():
            bands = self.haar(x)
            x = bands[:, : self.channels]
            level.initialise(bands[:, self.channels :], x)
        self.coarsest.initialise(x)
        return self(start)
