"""A convolution that turns with the image: equivariant under quarter turns, and invertible."""

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.conv import InvertibleConv
from medinv.layers.linalg.padding import Padding


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


def quarter_turn(x: Tensor) -> Tensor:
    """How a quarter turn of the image acts on fields (N, 4 n, H, W): (N, 4 n, W, H)."""
    rotated = torch.rot90(x.unflatten(1, (4, -1)), 1, (3, 4))
    return rotated.roll(1, 1).flatten(1, 2)
