"""The inverse of small images under zero, reflect or replicate padding: `border`'s formula, dense.

Where an image is a few pixels wide, what counts is how often anything is called, not how large it
is: the border is read from the spectrum, multiplied by K^-1 and placed there by one product each.
"""

import torch
from torch import Tensor

from medinv.layers.linalg.border import Factors
from medinv.layers.linalg.circulant import Circulant
from medinv.layers.linalg.cross import Cross
from medinv.layers.linalg.fourier import multiply

PIXELS = 400  # of the torus, up to which this was faster than `bordered`
ORDER = 1024  # of K for a group, the same


def is_small(cross: Cross, width: int) -> bool:
    """Whether images are small enough, for groups of `width` channels."""
    return cross.torus[0] * cross.torus[1] <= PIXELS and _pixels(cross) * width <= ORDER


def _pixels(cross: Cross) -> int:
    rows, columns = cross.rows, cross.columns
    return rows.period * columns.period - rows.size * columns.size


class SmallBorder:
    """Solves `A x = y` and `A^T x = y` on images (N, C, H, W), in the real type `dtype`."""

    def __init__(self, factors: Factors, dtype: torch.dtype):
        cross, inverse = factors.cross, factors.inverse
        size = (cross.rows.size, cross.columns.size)
        self.circulant = Circulant.of_inverse(inverse, size, cross.torus, dtype)
        flat = inverse.flatten(0, 1)  # (F, g, c, c)
        ends = {t: [m.to(flat) for m in _ends(cross, t)] for t in (False, True)}
        seen = torch.einsum("bf,fgij->bgijf", ends[False][0], flat)
        k = torch.matmul(seen, ends[False][1]).real.permute(1, 0, 2, 4, 3)  # (g, B, c, B, c)
        solved = torch.linalg.inv(k.flatten(3, 4).flatten(1, 2))
        by_rows = {False: solved.mT, True: solved}  # to stand on the right
        self._solved = {t: m.to(dtype).contiguous() for t, m in by_rows.items()}
        self._ends = {t: [m.to(dtype.to_complex()) for m in both] for t, both in ends.items()}

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`A^-1 y`, or `A^-T y`. Not differentiable: see `solve`."""
        fourier, matrices = self.circulant.fourier, self.circulant.matrices(transposed)
        reads, places = self._ends[transposed]
        source = fourier.forward(y)
        f, groups, n, c = source.shape
        border = torch.mm(reads, multiply(source, matrices).view(f, -1)).real
        border = border.view(-1, groups, n, c).permute(1, 2, 0, 3).reshape(groups, n, -1)
        border = torch.bmm(border, self._solved[transposed])
        border = border.view(groups, n, -1, c).permute(2, 0, 1, 3).reshape(-1, groups * n * c)
        source.view(f, -1).addmm_(places, border.to(source.dtype), alpha=-1)
        return fourier.inverse(multiply(source, matrices))


def _ends(cross: Cross, transposed: bool) -> tuple[Tensor, Tensor]:
    """What reads the border's pixels off a spectrum (B, F), and places them there (F, B).

    First the added rows, with the pixels where they cross columns; then the columns elsewhere.
    """
    rows, columns = cross.rows, cross.columns
    across, inside = torch.arange(columns.period), torch.arange(rows.size)
    read, place = not transposed, transposed
    reads = [
        _kron(rows.reader(rows.pattern(read), False), columns.reads(across, True)),
        _kron(rows.reads(inside, False), columns.reader(columns.pattern(read), True)),
    ]
    places = [
        _kron(rows.placed(rows.pattern(place), False), columns.places(across, True)),
        _kron(rows.places(inside, False), columns.placed(columns.pattern(place), True)),
    ]
    return torch.cat(reads), torch.cat(places, 1)


def _kron(down: Tensor, across: Tensor) -> Tensor:
    return torch.kron(down.contiguous(), across.contiguous())
