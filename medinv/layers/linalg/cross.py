"""Where an image lies in a larger torus, and what its padding wants of the added lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.layers.linalg.fourier import half, multiplicities, waves


@dataclass(frozen=True)
class Line:
    """One axis: an image of `size` in a torus of `period`, and what each added line must equal."""

    size: int
    period: int
    sources: tuple[int | None, ...]  # of the added lines size ... period - 1; None for zero

    @classmethod
    def of(cls, size: int, margin: int, padding: str, spare: int) -> "Line":
        """An axis of a convolution that reads `margin` beyond the edge, and `spare` more lines."""
        if padding == "zeros":
            return cls(size, size + margin + spare, (None,) * (margin + spare))
        right = {"reflect": [size - 2 - t for t in range(margin)]}.get(padding, [size - 1] * margin)
        left = {"reflect": [t + 1 for t in range(margin)]}.get(padding, [0] * margin)
        sources = (*right, *[None] * spare, *reversed(left))
        return cls(size, size + 2 * margin + spare, sources)

    @property
    def added(self) -> Tensor:
        """Positions (e,) of the added lines."""
        return torch.arange(self.size, self.period)

    @property
    def inside(self) -> int:
        """How far inside the image the last pixel that the padding repeats lies, 0 for zeros."""
        return max((min(self.size - s, s + 1) for s in self.sources if s is not None), default=0)

    def near(self, reach: int) -> Tensor:
        """Positions (a,) within `reach` of the added lines, around the torus."""
        count = min(self.period, len(self.sources) + 2 * reach)
        first = self.size - reach if count < self.period else 0
        return (first + torch.arange(count)) % self.period

    def pattern(self, reading: bool) -> Tensor:
        """E, or R if `reading`, of this axis, (e, period)."""
        lines = torch.zeros(len(self.sources), self.period, dtype=torch.float64)
        lines[:, self.size :] = torch.eye(len(self.sources), dtype=torch.float64)
        for t, source in enumerate(self.sources if reading else ()):
            if source is not None:
                lines[t, source] -= 1
        return lines

    def placed(self, lines: Tensor, whole: bool) -> Tensor:
        """Lines (e, period) as they are placed in the spectrum, (F, e), F all or half of it."""
        count = self.period if whole else half(self.period)
        return waves(torch.arange(count), torch.arange(self.period), self.period, -1) @ lines.T.to(
            torch.complex128
        )

    def reader(self, lines: Tensor, whole: bool) -> Tensor:
        """The coefficients (e, F) that read lines from a spectrum; of a half one the real part."""
        read = self.placed(lines, whole).mT.conj_physical() / self.period
        return read if whole else read * multiplicities(self.period)

    def reads(self, positions: Tensor, whole: bool) -> Tensor:
        """The coefficients (P, F) that read lines at `positions` from a spectrum, as `reader`."""
        read = self.places(positions, whole).mT.conj_physical() / self.period
        return read if whole else read * multiplicities(self.period)

    def places(self, positions: Tensor, whole: bool) -> Tensor:
        """Lines at `positions` as they are placed in the spectrum, (F, P)."""
        count = self.period if whole else half(self.period)
        return waves(torch.arange(count), positions, self.period, -1)


@dataclass(frozen=True)
class Cross:
    """Both axes of an image with its border."""

    rows: Line
    columns: Line

    @classmethod
    def of(cls, size: Sequence[int], kernel: Sequence[int], padding: str, spare: int) -> "Cross":
        """The border of a convolution of images (H, W)."""
        lines = [Line.of(n, k // 2, padding, spare) for n, k in zip(size, kernel, strict=True)]
        return cls(*lines)

    @property
    def torus(self) -> tuple[int, int]:
        """(H + e, W + e)."""
        return self.rows.period, self.columns.period

    @property
    def inside(self) -> int:
        """The larger of both axes'."""
        return max(self.rows.inside, self.columns.inside)
