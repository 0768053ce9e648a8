"""Layers that turn with the image: equivariant under quarter turns, and invertible."""

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.base import check_images
from medinv.layers.conv import InvertibleConv
from medinv.layers.linalg.padding import Padding
from medinv.layers.reshape import Orthonormal, to_channels, to_space


class C4Conv2d(InvertibleConv):
    """A convolution of `fields` regular representations of the group of quarter turns, C4.

    A field has four channels, one a direction, which a quarter turn of the image also exchanges:
    `turn(x)[r] = rot90(x[r - 1])`. The kernel is tied, `w[r, s] = rot90^r(psi[s - r])`, so that

        layer(turn(x)) = turn(layer(x)),    layer.inverse(turn(y)) = turn(layer.inverse(y)),

    to rounding, on square images. It is an ordinary convolution of 4 `fields` channels with a
    quarter of its weights: the inverse is still one small system a frequency. Exact in algebra.

    Arguments:
        fields: number of regular fields n; direction r of field i is channel r n + i.
        kernel_size: 1, 3 or 5.
        bias: one number a field.
        padding: "circular", "zeros", "reflect" or "replicate".

    Shapes: (N, 4 fields, H, W) both ways. Raises as InvertibleConv2d.

    Source: Cohen and Welling 2016, 1602.07576 (group convolutions).

    >>> layer = C4Conv2d(2).double()
    >>> x = torch.randn(1, 8, 6, 6, dtype=torch.float64)
    >>> torch.allclose(layer(quarter_turn(x)), quarter_turn(layer(x)))
    True
    >>> torch.allclose(layer.inverse(layer(x)), x)
    True
    """

    _sides: int = 2

    def __init__(
        self,
        fields: int,
        kernel_size: int = 3,
        *,
        bias: bool = False,
        padding: Padding = "circular",
    ):
        if fields < 1:
            raise ConfigError(f"C4Conv2d expects fields >= 1; got {fields}")
        super().__init__(4 * fields, kernel_size, bias=bias, padding=padding)
        self.fields = fields
        side = self.kernel_size
        psi = 0.02 / (2 * fields**0.5) * torch.randn(fields, fields, 4, side, side)
        psi[:, :, 0, side // 2, side // 2] += nn.init.orthogonal_(torch.empty(fields, fields))
        self.weight = nn.Parameter(psi)
        self.bias = nn.Parameter(torch.zeros(fields)) if bias else None

    def kernel(self) -> Tensor:
        """w, (4 fields, 4 fields, k, k), tied."""
        rows = [
            torch.rot90(self.weight.roll(r, 2), r, (3, 4)).transpose(1, 2).flatten(1, 2)
            for r in range(4)
        ]
        return torch.cat(rows)

    def offset(self) -> Tensor | None:
        """b, (4 fields,), the same in every direction."""
        return None if self.bias is None else self.bias.repeat(4)


# Pixels of a block of 2 x 2 in the order in which quarter turns exchange them, as numbered by
# pixel_unshuffle: turning the image moves the pixel at place r - 1 to place r.
_AROUND = (0, 2, 3, 1)


class C4Squeeze(Orthonormal):
    """(N, C, H, W) -> (N, 4 C, H/2, W/2): blocks of 2 x 2 become fields that turn. Bit-exact.

    A quarter turn exchanges the four pixels of a block in a circle, which is how it exchanges the
    directions of a regular field (see C4Conv2d). Hence the four pixels are a field: of plain images
    this is a lifting to C fields that adds no values and loses none; of n fields it makes 4 n,

        squeeze(rot90(x)) = turn(squeeze(x)),    squeeze(turn(x)) = turn(squeeze(x)).

    Arguments:
        fields: 0 for plain images of any number of channels, else n of (N, 4 n, H, W).

    Raises ConfigError for a negative number; ShapeError unless H and W are even.

    >>> x = torch.randn(1, 1, 8, 8)
    >>> lift, onwards = C4Squeeze(), C4Squeeze(1)
    >>> torch.equal(lift(torch.rot90(x, 1, (2, 3))), quarter_turn(lift(x)))
    True
    >>> torch.equal(onwards(quarter_turn(lift(x))), quarter_turn(onwards(lift(x))))
    True
    """

    bit_exact = True

    def __init__(self, fields: int = 0):
        super().__init__()
        if fields < 0:
            raise ConfigError(f"C4Squeeze expects fields >= 0; got {fields}")
        self.fields = fields

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"fields={self.fields}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, 4 * self.fields or None, "C4Squeeze", multiple_of=2)
        pixels = to_channels(x, 2).unflatten(1, (-1, 4))[:, :, _AROUND]
        if not self.fields:
            return pixels.transpose(1, 2).flatten(1, 2)
        # A value of direction s at place r keeps s - r when both turn: that numbers its new field.
        directions = pixels.unflatten(1, (4, -1))  # (N, s, i, r, H/2, W/2)
        turned = [directions[:, :, :, r].roll(-r, 1) for r in range(4)]
        return torch.stack(turned, 1).flatten(1, 3)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, 16 * self.fields or None, "C4Squeeze.inverse")
        back = [_AROUND.index(place) for place in range(4)]
        by_place = y.unflatten(1, (4, -1))
        if self.fields:
            fields = by_place.unflatten(2, (4, -1))  # (N, r, s - r, i, H/2, W/2)
            turned = [fields[:, r].roll(r, 1) for r in range(4)]
            by_place = torch.stack(turned, 1).flatten(2, 3)
        return to_space(by_place.transpose(1, 2)[:, :, back].flatten(1, 2), 2)


def quarter_turn(x: Tensor) -> Tensor:
    """How a quarter turn of the image acts on fields (N, 4 n, H, W): (N, 4 n, W, H)."""
    rotated = torch.rot90(x.unflatten(1, (4, -1)), 1, (3, 4))
    return rotated.roll(1, 1).flatten(1, 2)
