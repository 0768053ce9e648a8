"""What `border` asks of C^-1 y, from the pixels near the image's edges alone.

The impulse response of C^-1 dies away before it is across the image, so that R C^-1 y comes from
strips beside the added lines: in the frequencies along them, one matrix each that is as deep as
the strip. That saves a product with all of C^-1, of which only these lines would be read.
"""

import torch
from torch import Tensor

from medinv.layers.linalg.border import Factors
from medinv.layers.linalg.cross import Cross, Line
from medinv.layers.linalg.fourier import half, waves

WORTH = 0.25  # lines read times pixels of a strip, over the image's side, up to which it is quicker


def are_worth(cross: Cross, reach: int) -> bool:
    """Whether reading strips takes less time than the product with C^-1."""
    return all(
        len(line.sources) * len(_strip(line, reach)) < WORTH * line.period
        for line in (cross.rows, cross.columns)
    )


def entries(cross: Cross, reach: int, width: int) -> int:
    """Complex numbers that are kept for a group of `width` channels."""
    rows, columns = cross.rows, cross.columns
    return width**2 * sum(
        half(along.period) * len(line.sources) * len(_strip(line, reach))
        for line, along in ((rows, columns), (columns, rows))
    )


class Edges:
    """Reads the border of `C^-1 y` from images y (N, C, H, W), in the real type `dtype`."""

    def __init__(self, factors: Factors, reach: int, dtype: torch.dtype):
        self._dtype, self._groups = dtype, factors.inverse.shape[-3]
        lines = (factors.cross.rows, factors.cross.columns)
        device = factors.inverse.device
        self._strips = [_strip(line, reach).to(device) for line in lines]
        self._waves = [_along(line).to(device, dtype) for line in reversed(lines)]
        answers = factors.edges(*(strip.cpu() for strip in self._strips))
        self._answers = [_by_rows(answer).to(dtype.to_complex()) for answer in answers]

    def read(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (F2, g, N, e c) and columns (F1, g, N, e c), half of the frequencies of each."""
        y = y.to(self._dtype)
        rows, columns = self._strips
        down, across = y.index_select(2, rows), y.index_select(3, columns).transpose(2, 3)
        return self._answered(down, 0), self._answered(across, 1)

    def _answered(self, strip: Tensor, which: int) -> Tensor:
        """(N, C, strip, along) as (F, g, N, e c)."""
        n, along = strip.shape[0], self._waves[which]
        planes = torch.mm(along, strip.reshape(-1, strip.shape[-1]).t())
        planes = planes.view(2, len(along) // 2, n, self._groups, -1).transpose(2, 3)
        spectrum = torch.complex(planes[0], planes[1])
        answers = self._answers[which]
        seen = torch.bmm(spectrum.flatten(0, 1), answers.flatten(0, 1))
        return seen.unflatten(0, answers.shape[:2])


def _strip(line: Line, reach: int) -> Tensor:
    """Positions in the image within `reach` of what an axis' added lines are, or must equal."""
    wanted = {t for t in line.added.tolist()} | {s for s in line.sources if s is not None}
    away = (torch.arange(line.size)[:, None] - torch.tensor(sorted(wanted))).remainder(line.period)
    return (torch.minimum(away, line.period - away).amin(1) <= reach).nonzero().flatten()


def _along(line: Line) -> Tensor:
    """The transform of pixels along an axis, (2 F, size): half of it, real parts and imaginary."""
    waving = waves(torch.arange(half(line.period)), torch.arange(line.size), line.period, -1)
    return torch.cat([waving.real, waving.imag])


def _by_rows(answer: Tensor) -> Tensor:
    """(F, e, strip, g, c, c') as (F, g, c' strip, e c), to stand on the right of rows."""
    return answer.permute(0, 3, 5, 2, 1, 4).flatten(4, 5).flatten(2, 3).contiguous()
