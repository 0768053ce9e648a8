"""Fixed orthonormal layers: they move values between space and channels."""

from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError, ShapeError
from medinv.layers.base import Invertible, LeftInvertible, check_images


class Orthonormal(Invertible):
    """A fixed orthonormal map: volume and lengths are kept."""

    isometric = True

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return x.new_zeros(x.shape[0])

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1."""
        return x.new_ones(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1."""
        return x.new_ones(x.shape[0])


class Squeeze(Orthonormal):
    """(N, C, H, W) -> (N, C f^2, H/f, W/f): each f x f block becomes channels. Bit-exact."""

    bit_exact = True

    def __init__(self, factor: int = 2):
        super().__init__()
        self.factor = factor

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"factor={self.factor}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, None, "Squeeze", multiple_of=self.factor)
        return to_channels(x, self.factor)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, None, "Squeeze.inverse")
        return to_space(y, self.factor)


class ChannelFlip(Orthonormal):
    """(N, C, H, W) -> the same with its channels in reverse order, so that the next coupling moves
    the other half. Bit-exact.
    """

    bit_exact = True

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        _check_rank(x, "ChannelFlip")
        return x.flip(1)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        _check_rank(y, "ChannelFlip.inverse")
        return y.flip(1)


class ChannelPadding(Orthonormal, LeftInvertible):
    """(N, channels, H, W) -> (N, channels + extra, H, W): channels of zeros are put last
    (i-RevNet's injective padding, 1802.07088). Bit-exact.

    Left-invertible: `inverse` drops the last channels whatever they hold, which projects;
    `residual` tells what was lost. `Inverse(ChannelPadding(c, k))` narrows: it gives back only what
    it was given if the channels that it drops are zero.
    """

    bit_exact = True

    def __init__(self, channels: int, extra: int):
        super().__init__()
        if channels < 1 or extra < 1:
            raise ConfigError(
                f"ChannelPadding expects at least 1 channel and 1 extra; got {channels} and {extra}"
            )
        self.channels = channels
        self.extra = extra

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"{self.channels}, {self.extra}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "ChannelPadding")
        return F.pad(x, (0, 0, 0, 0, 0, self.extra))

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, self.channels + self.extra, "ChannelPadding.inverse")
        return y[:, : self.channels]


def to_channels(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C f^2, H/f, W/f), for an empty batch too, unlike torch's own."""
    if x.shape[0]:
        return F.pixel_unshuffle(x, factor)
    return x.reshape(0, x.shape[1] * factor**2, x.shape[2] // factor, x.shape[3] // factor)


def to_space(y: Tensor, factor: int) -> Tensor:
    """The opposite of `to_channels`."""
    if y.shape[0]:
        return F.pixel_shuffle(y, factor)
    return y.reshape(0, y.shape[1] // factor**2, y.shape[2] * factor, y.shape[3] * factor)


def _check_rank(x: Tensor, layer: str) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{layer} expects images of shape (N, C, H, W); got {tuple(x.shape)}")
