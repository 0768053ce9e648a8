"""log |det| of a padded convolution of images from three small ones, by cyclic reduction.

In its rows a convolution is block-tridiagonal, one block L, D, U for each but the first and the
last. Every second row eliminated leaves the same form with half of the rows,

    D' = D - L D^-1 U - U D^-1 L,    L' = -L D^-1 L,    U' = -U D^-1 U,

and L', U' die away quadratically (Buzbee, Golub and Nielson 1970, doi 10.1137/0707049): 2^m - 1
rows cost m steps. What a convolution adds to log |det A| a pixel, a row, a column and a corner is
the same for all sizes across which nothing is felt (Widom 1976, doi 10.1016/0001-8708(76)90113-4),

    log |det A| = t_1 t_2 pixel + t_2 row + t_1 column + corner.

A pixel and an edge are seen on cylinders, whose blocks are one small matrix a frequency, the
corners on an image. What is left out goes with the square of what an edge feels of the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.fourier import half, multiplicities, waves
from medinv.layers.linalg.response import plain

AROUND = {torch.float64: (4, 16), torch.float32: (3, 12)}  # steps and period of the cylinders
LEFT_OUT = {torch.float64: 1e-13, torch.float32: 1e-5}  # of their blocks and responses, squared
# the same of the image with the corners, and of one whose padding reads no pixels further in
CORNERS = {torch.float64: (1e-12, 1e-8), torch.float32: (1e-5, 1e-3)}
GROWTH = {torch.float64: 1e4, torch.float32: 1e2}  # of inverses, beyond which digits are lost
SLOWER = 1e2  # times as much may be felt on the image as the cylinders made expect
ORDER = 1536  # of the image's blocks at most; beyond, `border` costs less


@dataclass(frozen=True)
class Rows:
    """The blocks (..., n, n) of a few lines each: D of the first, an inner and the last row.

    One D where they are alike. Where rows are `mirrored` the first and the last see L + U.
    """

    diagonal: Tensor  # (1 or 3, ..., n, n)
    lower: Tensor
    upper: Tensor
    mirrored: bool = False

    def halved(self, inverse: Tensor) -> "Rows":
        """Every second row, when the first, the third ... and the last are eliminated."""
        middle, inner = self.diagonal[len(inverse) // 2], inverse[len(inverse) // 2]
        up, down = inner @ self.upper, inner @ self.lower
        above, below = self.lower @ up, self.upper @ down
        lower, upper, kinds = -(self.lower @ down), -(self.upper @ up), [middle - above - below]
        if self.mirrored:
            kinds = [kinds[0] + lower, *kinds, kinds[0] + upper]
        elif len(inverse) > 1:
            first = middle - self.lower @ (inverse[0] @ self.upper) - below
            kinds = [first, *kinds, middle - above - self.upper @ (inverse[-1] @ self.lower)]
        return Rows(torch.stack(kinds), lower, upper)

    def middle(self, inverse: Tensor) -> Tensor:
        """What is left of the second of three rows."""
        lower, upper = self.lower, self.upper
        if self.mirrored:
            lower = upper = lower + upper
        ends = self.lower @ (inverse[0] @ upper) + self.upper @ (inverse[-1] @ lower)
        return self.diagonal[len(inverse) // 2] - ends


@dataclass(frozen=True)
class Reduced:
    """2^steps - 1 rows: log |det|, what a row more adds to it, and what was seen on the way."""

    total: Tensor  # (...)
    row: Tensor  # (...)
    steps: int
    change: float  # of the last block by the last step, over its largest entry
    growth: float  # largest entry of a block times that of its inverse
    answer: Tensor  # (..., n, n), the inverse of the last block

    def unseen(self, rows: float) -> float:
        """What crosses so many rows and comes back, over what was sent, if it goes on as it did."""
        return self.change ** (2 * rows / 2 ** (self.steps - 1))

    def ends(self, width: int) -> float:
        """What the last block's first pixel feels of its last and the other way, squared."""
        size = self.answer.unflatten(-1, (-1, width)).unflatten(-3, (-1, width)).square()
        size = size.sum((-2, -4)).flatten(0, -3).sum(0)
        return (max(size[0, -1], size[-1, 0]) / size.max()).item()


def reduced(rows: Rows, steps: int) -> Reduced:
    """By at least two steps. Raises LinAlgError where a block is singular."""
    total, row, growth = torch.zeros(()), torch.zeros(()), 0.0
    for left in range(steps, 1, -1):
        inverse, logs = symbols.InverseAndLogDet.apply(rows.diagonal)
        growth = max(growth, _largest(inverse) * _largest(rows.diagonal))
        inner = logs[len(logs) // 2]
        total = total + logs[0] + logs[-1] + (2 ** (left - 1) - 2) * inner
        row = row + inner / 2 ** (steps - left + 1)
        before = rows.diagonal[len(inverse) // 2]
        last, rows = (rows.middle(inverse), rows) if left == 2 else (before, rows.halved(inverse))
    answer, logs = symbols.InverseAndLogDet.apply(last)
    largest = _largest(before)
    coupled = _largest(rows.lower) * _largest(rows.upper) / largest**2  # where they do not meet yet
    change = max(_largest(last - before) / largest, coupled)
    total, row = total + logs, row + logs / 2 ** (steps - 1)
    return Reduced(total, row, steps, change, growth, answer.detach())


def _largest(block: Tensor) -> float:
    real = torch.view_as_real(block.detach().resolve_conj()) if block.is_complex() else block
    least, most = torch.aminmax(real.detach())  # quicker than a norm
    return max(-least.item(), most.item())


def along(size: int, kernel: int, padding: str) -> Tensor:
    """Which pixels each tap reads, (k, size, size): one each, or none where it reads a zero."""
    seen = torch.arange(size) + torch.arange(kernel)[:, None] - kernel // 2
    if padding == "zeros":
        return (seen[..., None] == torch.arange(size)).double()
    return (pads.source(seen, size, padding)[..., None] == torch.arange(size)).double()


def lines(kernel: int, padding: str) -> int:
    """Lines of a row, as many as a kernel reads beyond; one more where these may be the next's."""
    return max(kernel // 2 + (padding == "reflect" and kernel > 3), 1)


def blocks(weight: Tensor, across: Tensor, padding: str) -> Rows:
    """Rows of a kernel (g, o, i, k_1, k_2), read across by (k_2, w, w) or phases (k_2, F)."""
    each, image = lines(weight.shape[3], padding), across.ndim == 3
    taps = along(3 * each, weight.shape[3], padding).to(across)
    letters = (
        ("goiyx,xpq->ygoipq", "tyab,ygoipq->tgaopbiq")
        if image
        else ("goiyx,xf->ygoif", "tyab,ygoif->tfgaobi")
    )
    mirrored = padding == "reflect" and each == 1
    alike = mirrored or padding == "zeros" or weight.shape[3] == 1
    kinds = [(1, 1)] if alike else [(t, t) for t in range(3)]
    rows, columns = torch.tensor([*kinds, (1, 0), (1, 2)]).T
    chosen = taps.unflatten(2, (3, each)).unflatten(1, (3, each))[:, rows, :, columns]
    seen = torch.einsum(letters[0], weight.to(across.dtype), across)
    made = torch.einsum(letters[1], chosen, seen)
    made = made.flatten(-3).flatten(-4, -2) if image else made.flatten(-2).flatten(-3, -2)
    return Rows(made[:-2], made[-2], made[-1], mirrored)


@dataclass(frozen=True)
class Cylinder:
    """A convolution around a cylinder: log |det| a pixel and a line of its edges."""

    pixel: Tensor
    edge: Tensor
    rows: Reduced
    lines: int  # of a row

    @classmethod
    def of(cls, weight: Tensor, padding: str, steps: int, period: int) -> "Cylinder":
        """Of a kernel (g, o, i, k_1, k_2) that is padded along its first axis."""
        each, taps = lines(weight.shape[3], padding), torch.arange(weight.shape[4])
        phases = waves(taps - weight.shape[4] // 2, torch.arange(half(period)), period, 1)
        across = phases.to(weight.device, weight.dtype.to_complex())
        rows = reduced(blocks(weight, across, padding), steps)
        once = (multiplicities(period) / period).to(rows.total)[:, None]
        pixel = (rows.row * once).sum() / each
        edge = (rows.total * once).sum() - (2**steps - 1) * each * pixel
        return cls(pixel, edge, rows, each)

    def holds(self, dtype: torch.dtype, period: int, kernel: int) -> bool:
        """Whether nothing is felt around the cylinder, nor of one edge at the other."""
        answer = torch.fft.irfft(self.rows.answer, n=period, dim=0)
        size = answer.flatten(1).square().sum(1)
        beyond = size.narrow(0, (period - kernel) // 2 + 1, kernel).max() / size.max()
        felt = max(self.rows.change**2, beyond.item())
        return felt < LEFT_OUT[dtype] and self.rows.growth < GROWTH[dtype]

    def needed(self, left_out: float) -> int:
        """Rows after which what comes back is so small."""
        once = self.rows.unseen(1)
        return math.ceil(math.log(left_out) / math.log(once)) if once > 0 else 1


def log_abs_det(
    weight: Tensor, size: Sequence[int], padding: str, groups: int = 1
) -> Tensor | None:
    """log |det| of a convolution of images (H, W), a scalar, differentiable to every order.

    None where the image is too small for it, what the inverse answers reaches too far or is too
    large, a block is singular, or the kernel is one of a batch (vmap).
    """
    if min(size) < 4 * max(weight.shape[2:]) or plain(weight) is None:
        return None
    (steps, period), down = AROUND[weight.dtype], symbols.by_groups(weight, groups)
    try:
        ways = [Cylinder.of(w, padding, steps, period) for w in (down, down.transpose(3, 4))]
        if not all(way.holds(weight.dtype, period, max(weight.shape[2:])) for way in ways):
            return None
        return _whole(down, size, padding, ways)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):
        return None


def enough(ways: Sequence[Cylinder], left_out: float, mirrored: bool) -> tuple[int, int]:
    """The sides of an image across which so little is felt, the first of 2^m - 1 rows."""
    down, across = (max(way.needed(left_out), 3) for way in ways)
    across += mirrored  # a pixel further is read at each end
    return (2 ** down.bit_length() - 1) * ways[0].lines, across * ways[1].lines


def _whole(
    weight: Tensor, size: Sequence[int], padding: str, ways: Sequence[Cylinder]
) -> Tensor | None:
    """From both cylinders and an image as large as their answers ask for."""
    left_out = CORNERS[weight.dtype][padding == "zeros"]
    height, width = enough(ways, left_out, padding == "reflect")
    order = width * ways[0].lines * weight.shape[1]
    if height > size[0] or width > size[1] or order > ORDER:
        return None
    steps = (height // ways[0].lines).bit_length()
    across = along(width, weight.shape[4], padding).to(weight)
    image = reduced(blocks(weight, across, padding), steps)
    felt = max(image.ends(width), image.unseen(height // ways[0].lines))
    if felt > SLOWER * left_out or image.growth > GROWTH[weight.dtype]:
        return None
    pixel, row, column = ways[0].pixel, ways[0].edge, ways[1].edge
    corner = image.total.sum() - height * width * pixel - width * row - height * column
    return size[0] * size[1] * pixel + size[1] * row + size[0] * column + corner
