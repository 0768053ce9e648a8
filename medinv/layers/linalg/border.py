"""Zero, reflect and replicate padding of images: a circular convolution and what its border adds.

The image lies in a torus that is larger by e lines a side (e = k // 2 for zeros, both margins for
the others), C is the circular convolution there, E reads the added lines, and R x = 0 says what the
padding wants of them: zero, or the value of the pixel that the padding repeats. Then

    A^-1 y = z - C^-1 E^T K^-1 R z,    z = C^-1 y,    K = R C^-1 E^T,    det A = det C det K

(Woodbury; Hager 1989, doi 10.1137/1031049). K is as large as the border, but nearly two small
things: along the added rows, and along the added columns, it is a block-circulant D, one small
matrix a frequency. What is left, N = K - D, couples rows and columns and lives where they cross, as
far as the impulse response of C^-1 reaches; with J reading that window,

    K^-1 = D^-1 - D^-1 J^T T J D^-1,    T = (I + N J D^-1 J^T)^-1 N,
    det K = det D det(I + N D^-1).

So the whole inverse is two transforms, two products with small matrices a frequency, and one
product with T. Rows and columns both hold the pixels where they cross; the columns' copy is set to
0 there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from medinv.errors import SingularError
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.cross import Cross, Line
from medinv.layers.linalg.fourier import half, multiplicities
from medinv.layers.linalg.response import Response

Invert = Callable[[Tensor], tuple[Tensor, Tensor]]


class Factors:
    """C^-1, D^-1 and what T is made of, for one kernel; differentiable in it to every order.

    `inverse` (half(H + e), W + e, g, c, c) is C^-1, `along_rows` (W + e, g, e c, e c) and
    `along_columns` (half(H + e), g, e c, e c) are D^-1, all symbols. The determinant needs `logs`.
    """

    def __init__(self, weight: Tensor, cross: Cross, groups: int, *, logs: bool = True):
        self.cross, self.torus = cross, cross.torus
        both: Invert = symbols.InverseAndLogDet.apply if logs else symbols.inverse_alone
        with symbols.singular_means_lost(weight, cross.torus):
            self.inverse, self._logs = both(symbols.half_first(weight, cross.torus, groups))
            rows, self.columns = self._border_symbols()
            first, self._row_logs = both(rows)
            self.along_columns, self._column_logs = both(self.columns)
        self.along_rows = _completed(first, cross.columns.period)

    def _border_symbols(self) -> tuple[Tensor, Tensor]:
        """D along the added rows, half of its frequencies, and down the added columns."""
        rows, columns = self.cross.rows, self.cross.columns
        placed = (
            rows.placed(rows.pattern(False), False),
            columns.placed(columns.pattern(False), True),
        )
        along, down = self._answers(*placed)
        return _square(along), _square(down)

    def edges(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """What R C^-1 makes of `rows` and of `columns` of an image, (F, e, P, g, c, c)."""
        down, across = self.cross.rows, self.cross.columns
        return self._answers(down.places(rows, False), across.places(columns, True))

    def _answers(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """R C^-1 of lines placed in the spectrum, (F, P), in half of the frequencies along them."""
        down, across = self.cross.rows, self.cross.columns
        pairs = _paired(down.reader(down.pattern(True), False), rows)
        along = torch.einsum("tuf,fn...->ntu...", self._cast(pairs), self.inverse)
        mirror = (-torch.arange(across.period, device=along.device)) % across.period
        along = (along + along[mirror].conj_physical())[: half(across.period)] / 2
        pairs = _paired(across.reader(across.pattern(True), True), columns)
        return along, torch.einsum("tun,fn...->ftu...", self._cast(pairs), self.inverse)

    def _cast(self, coefficients: Tensor) -> Tensor:
        return coefficients.to(self.inverse)

    def log_abs_det(self, size: Sequence[int], left_out: float) -> Tensor:
        """log |det A| on images of `size`, a scalar; exact on those of which the factors are.

        The window where rows and columns cross leaves out this share of the response, and ten times
        as much where the padding reads no pixels further in: it enters by its square.
        """
        once = [multiplicities(t).to(self._logs) for t in self.torus]
        pixel = (self._logs.flatten(1).sum(1) * once[0]).sum()
        row = (self._row_logs.flatten(1).sum(1) * once[1]).sum()
        column = (self._column_logs.flatten(1).sum(1) * once[0]).sum()
        own = (self.cross.rows.size, self.cross.columns.size)
        down, across = ((n - m + t) / t for n, m, t in zip(size, own, self.torus, strict=True))
        if self._inside_alone:
            left_out *= 10
        corner = torch.linalg.slogdet(self._coupled(self.reach(left_out)))[1].sum()
        return pixel * (down * across) + row * across + column * down + corner

    def _coupled(self, reach: int) -> Tensor:
        b, c, e, p, q = self.window(reach)
        return _middle(_lower(b, c, e, p), q)

    @property
    def _inside_alone(self) -> bool:
        return all(
            s is None for line in (self.cross.rows, self.cross.columns) for s in line.sources
        )

    @cached_property
    def response(self) -> Response:
        """The impulse response of C^-1."""
        return Response(self.inverse, self.torus)

    def reach(self, left_out: float) -> int:
        """How far, in pixels, it is over a share of its largest."""
        return max(self.response.reach(left_out))

    def check(self) -> None:
        """Raise SingularError where C or D has a condition number over 1e12."""
        c = self.inverse.detach()
        for inverse in (c, self.along_rows.detach(), self.along_columns.detach()):
            norms = torch.view_as_real(inverse).flatten(-3).square().sum(-1).sqrt()
            if not (norms.max() / norms.min()).item() < symbols.LOST:
                raise SingularError(f"a torus of {self.cross.torus} loses a wave of this kernel")

    def order(self, reach: int) -> int:
        """Rows of the matrix that a window of `reach` factorises, a group."""
        rows = self.cross.rows
        return len(rows.near(reach)) * len(rows.sources) * self.inverse.shape[-1]

    def window(self, reach: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """B, C, E, P, Q, each (g, n, m): N = [[0, B], [C, E]] and J D^-1 J^T = diag(P, Q)."""
        rows, columns = self.cross.rows, self.cross.columns
        across, down = columns.near(reach), rows.near(reach)
        inside = (down < rows.size).to(self.inverse.real)[
            :, None
        ]  # not where rows and columns cross
        b = self._coupling(
            _paired(rows.reader(rows.pattern(True), False), rows.places(down, False)),
            _paired(columns.reads(across, True), columns.placed(columns.pattern(False), True)),
        )  # (t, i, j, s, g, c, c)
        c = self._coupling(
            _paired(rows.reads(down, False), rows.placed(rows.pattern(False), False)),
            _paired(columns.reader(columns.pattern(True), True), columns.places(across, True)),
        )  # (i, t, s, j, g, c, c)
        e = self._along(self.columns, rows, down, False)
        same = torch.eye(len(down), device=e.device, dtype=e.dtype) * (1 - inside)
        unit = torch.eye(e.shape[-1], device=e.device, dtype=e.dtype)
        e = same[:, :, None, None, None] * unit - (1 - inside * inside.T)[..., None, None, None] * e
        b = b.permute(4, 2, 0, 5, 1, 3, 6) * inside[:, :, None]
        c = c.permute(4, 0, 2, 5, 3, 1, 6) * inside[:, :, None, None, None, None]
        return (
            b.flatten(4, 6).flatten(1, 3),
            c.flatten(4, 6).flatten(1, 3),
            _blocks(e),
            _blocks(self._along(self.along_rows, columns, across, True)),
            _blocks(self._along(self.along_columns, rows, down, False)),
        )

    def _coupling(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Values of C^-1 read and placed by coefficients (A, B, F) of rows and (A', B', F) of
        columns.
        """
        seen = torch.einsum("abn,fn...->fab...", self._cast(columns), self.inverse)
        seen = torch.tensordot(self._cast(rows), seen, dims=([2], [0]))
        return seen.real

    def _along(self, spectrum: Tensor, line: Line, positions: Tensor, whole: bool) -> Tensor:
        """A block-circulant's entries between `positions`, (P, P, g, n, n)."""
        n = len(positions)
        entries = torch.tensordot(
            self._cast(line.reads(torch.arange(1 - n, n), whole)), spectrum, dims=([1], [0])
        ).real
        places = torch.arange(n)
        return entries[(places[:, None] - places + n - 1).to(entries.device)]


def _paired(read: Tensor, placed: Tensor) -> Tensor:
    """(A, F) and (F, B) as (A, B, F), element by element in F."""
    return read[:, None, :] * placed.T[None]


def _square(symbol: Tensor) -> Tensor:
    """(F, e, e, g, c, c) as (F, g, e c, e c)."""
    return symbol.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _blocks(entries: Tensor) -> Tensor:
    """(P, P', g, n, m) as (g, P n, P' m)."""
    return entries.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def _completed(first: Tensor, period: int) -> Tensor:
    """All frequencies of a real symbol from the first half."""
    rest = torch.arange(half(period), period, device=first.device)
    return torch.cat([first, first[period - rest].conj_physical()])


def _lower(b: Tensor, c: Tensor, e: Tensor, p: Tensor) -> Tensor:
    """E - C P B: what eliminating the rows leaves on the columns, beside D."""
    return e - (c @ p) @ b


def _middle(lower: Tensor, q: Tensor) -> Tensor:
    """I + (E - C P B) Q, whose determinant is that of I + N D^-1."""
    return torch.eye(q.shape[-1], device=q.device, dtype=q.dtype) + lower @ q


@dataclass(frozen=True)
class Crossing:
    """What couples rows and columns in a window; rows and columns of (g, n, n)."""

    reach: int  # of the response
    window: int  # pixels from the added lines
    to_rows: Tensor  # B
    to_columns: Tensor  # C
    solved: Tensor  # T = (I + L Q)^-1 L, L = E - C P B

    @classmethod
    def of(
        cls, factors: Factors, reach: int, dtype: torch.dtype, *, further: int = 0
    ) -> "Crossing":
        """Made in `dtype`, in a window so many pixels further than the response reaches."""
        window = reach + further
        b, c, e, p, q = (block.detach().to(dtype) for block in factors.window(window))
        lower = _lower(b, c, e, p)
        return cls(reach, window, b, c, torch.linalg.solve(_middle(lower, q), lower))

    def transposed(self) -> "Crossing":
        """That of the transposed operator."""
        return replace(
            self, to_rows=self.to_columns.mT, to_columns=self.to_rows.mT, solved=self.solved.mT
        )
