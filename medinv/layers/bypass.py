"""Channels that go around a chain (what a narrowing network throws away, kept)."""

import torch
from torch import Tensor

from medinv.errors import ConfigError
from medinv.layers.base import Chain, Invertible, check_images
from medinv.layers.reshape import to_channels, to_space


class Bypass(Invertible):
    """The first `kept` channels of an image go through `inner`, the others around it: `y =
    (inner(x[:kept]), squeeze(x[kept:]))`.

    `inner` lowers the resolution by 2^halvings; what goes around is moved from space into channels
    likewise. As exact as `inner`.

    Shapes: (N, channels, H, W) -> (N, inner's channels + (channels - kept) 4^halvings,
    H / 2^halvings, W / 2^halvings).
    Raises ConfigError unless 0 < kept < channels; ShapeError for other shapes.
    """

    def __init__(self, channels: int, kept: int, inner: Chain, halvings: int):
        super().__init__()
        if not 0 < kept < channels or halvings < 0:
            wanted = "some channels kept, some to go around, and halvings >= 0"
            raise ConfigError(f"Bypass expects {wanted}; got {kept} of {channels} and {halvings}")
        self.channels, self.kept, self.inner, self.halvings = channels, kept, inner, halvings

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"{self.channels}, kept={self.kept}, halvings={self.halvings}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "Bypass", multiple_of=2**self.halvings)
        return self.join(self.inner(x[:, : self.kept]), x)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, None, "Bypass.inverse")
        around = (self.channels - self.kept) * 4**self.halvings
        inside, rest = y.split([y.shape[1] - around, around], 1)
        return torch.cat([self.inner.inverse(inside), to_space(rest, 2**self.halvings)], 1)

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return self.call_and_log_det(x)[1]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        check_images(x, self.channels, "Bypass", multiple_of=2**self.halvings)
        y, log_det = self.inner.call_and_log_det(x[:, : self.kept])
        return self.join(y, x), log_det

    def initialise(self, x: Tensor) -> Tensor:
        """From a first batch."""
        return self.join(self.inner.initialise(x[:, : self.kept]), x)

    def join(self, y: Tensor, x: Tensor) -> Tensor:
        """The output, of what `inner` makes `y` and of the image `x` that goes around it."""
        return torch.cat([y, to_channels(x[:, self.kept :], 2**self.halvings)], 1)
