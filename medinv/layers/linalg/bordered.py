"""The inverse under zero, reflect or replicate padding, kept ready: `border`'s formula at work.

K is solved nearly, in float32 where that does, and what is left of R x is solved again: each round
costs one product with the small matrices of C^-1 and multiplies the error by that of the nearly
solved K, so that two give float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.layers.linalg.border import Crossing, Factors
from medinv.layers.linalg.circulant import Circulant
from medinv.layers.linalg.cross import Cross
from medinv.layers.linalg.edges import Edges, are_worth
from medinv.layers.linalg.fourier import half, multiply


@dataclass(frozen=True)
class _Ends:
    """What reads the border off a spectrum and places it there, in one direction.

    F1 is half of the frequencies down, F2 of those across, F' all of these, e the added lines.
    """

    read_rows: Tensor  # (e, F1)
    read_columns: Tensor  # (e, F')
    place_rows: Tensor  # (F1, e)
    place_columns: Tensor  # (F', e)


class Bordered:
    """Solves `A x = y` and `A^T x = y` on images (N, C, H, W), in the real type `dtype`.

    K is solved in the type of `crossing`, `rounds` times. An image never meets another.
    """

    def __init__(self, factors: Factors, crossing: Crossing, dtype: torch.dtype, rounds: int = 1):
        self.cross, self.rounds = factors.cross, rounds
        reach, near = crossing.reach, crossing.solved.dtype
        self._edges = Edges(factors, reach, near) if are_worth(self.cross, reach) else None
        size = (self.cross.rows.size, self.cross.columns.size)
        self.circulant = Circulant.of_inverse(factors.inverse, size, self.cross.torus, dtype)
        self._border = _NearlySolved(factors, crossing)
        self._device, self._type = factors.inverse.device, dtype.to_complex()
        self._ends: dict[bool, _Ends] = {}
        f2, device = self.cross.torus[1], factors.inverse.device
        self._mirror = (-torch.arange(half(f2), device=device)) % f2
        self._rest = f2 - torch.arange(half(f2), f2, device=device)

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`A^-1 y`, or `A^-T y`. Not differentiable: see `solve`."""
        fourier, matrices = self.circulant.fourier, self.circulant.matrices(transposed)
        ends = self._ends_of(transposed)
        source = fourier.forward(y)
        for count in range(self.rounds):
            border = (
                self._edges.read(y)
                if self._edges is not None and count == 0 and not transposed
                else self._read(multiply(source, matrices), ends)
            )
            self._subtract(source, self._border.solve(*border, transposed=transposed), ends)
        return fourier.inverse(multiply(source, matrices))

    def _read(self, spectrum: Tensor, ends: _Ends) -> tuple[Tensor, Tensor]:
        """The border of a spectrum (F, g, N, c): rows (F2, g, N, e c), columns (F1, g, N, e c).

        Both are real, and have half of their frequencies.
        """
        f1, f2 = half(self.cross.torus[0]), self.cross.torus[1]
        images, e = spectrum.shape[1:], len(ends.read_rows)
        rows = torch.mm(ends.read_rows, spectrum.view(f1, -1)).view(e, f2, -1)
        rows = rows[:, : half(f2)] + rows[:, self._mirror].conj_physical()
        columns = torch.matmul(ends.read_columns, spectrum.view(f1, f2, -1))  # (F1, e, g N c)
        return _lines_last(rows.transpose(0, 1), images), _lines_last(columns, images)

    def _subtract(self, target: Tensor, border: tuple[Tensor, Tensor], ends: _Ends) -> None:
        """Subtract lines placed in a spectrum."""
        f1, f2 = half(self.cross.torus[0]), self.cross.torus[1]
        e = len(ends.read_rows)
        rows, columns = (_lines_first(lines.to(target.dtype), e) for lines in border)
        rows = torch.cat([rows, rows[self._rest].conj_physical()]).transpose(0, 1)
        target.view(f1, -1).addmm_(ends.place_rows, rows.reshape(e, -1), alpha=-1)
        coefficients = ends.place_columns.expand(f1, -1, -1)
        target.view(f1, f2, -1).baddbmm_(coefficients, columns, alpha=-1)

    def _ends_of(self, transposed: bool) -> _Ends:
        if transposed not in self._ends:
            rows, columns = self.cross.rows, self.cross.columns
            read, place = (not transposed, transposed)
            matrices = (
                rows.reader(rows.pattern(read), False) / 2,
                columns.reader(columns.pattern(read), True),
                rows.placed(rows.pattern(place), False),
                columns.placed(columns.pattern(place), True),
            )
            self._ends[transposed] = _Ends(*(m.to(self._device, self._type) for m in matrices))
        return self._ends[transposed]


class _NearlySolved:
    """`K^-1 r` for the border r of images, to the type and the reach of a crossing.

    The rows are eliminated first, which their frequencies do exactly:

        q_rows = D^-1 r_rows,    q_columns = S^-1 (r_columns - C q_rows),
        q_rows = q_rows - D^-1 B q_columns,

    S^-1 = D^-1 - D^-1 J^T T J D^-1 in the columns. The transpose swaps B and C.
    """

    def __init__(self, factors: Factors, crossing: Crossing):
        device, dtype = factors.inverse.device, crossing.solved.dtype
        self.dtype, self._crossing = dtype.to_complex(), crossing
        cross: Cross = factors.cross
        along = (factors.along_rows[: half(cross.torus[1])], factors.along_columns)
        self._along = [m.to(self.dtype).mT.contiguous() for m in along]
        rows, columns = cross.rows, cross.columns
        across, down = columns.near(crossing.window), rows.near(crossing.window)
        fixed = (
            columns.reads(across, False),  # (a, F2)
            columns.places(across, False),  # (F2, a)
            rows.reads(down, False),  # (b, F1)
            rows.places(down, False),  # (F1, b)
            rows.reads(rows.added, False),  # (e, F1)
            rows.places(rows.added, False),  # (F1, e)
        )
        self._read_rows, self._place_rows, self._read_columns, self._place_columns, *corner = (
            m.to(device, self.dtype) for m in fixed
        )
        self._corner = corner

    def solve(self, rows: Tensor, columns: Tensor, *, transposed: bool) -> tuple[Tensor, Tensor]:
        """Rows (F2, g, N, e c) and columns (F1, g, N, e c)."""
        at = self._crossing.transposed() if transposed else self._crossing
        along_rows, along_columns = (m.mT.conj_physical() if transposed else m for m in self._along)
        rows = multiply(rows.to(self.dtype), along_rows)
        columns = self._outside_the_corner(columns.to(self.dtype))
        seen = _near(rows, self._read_rows, at.to_columns)
        columns = multiply(self._placed(columns, self._place_columns, seen), along_columns)
        seen = _near(columns, self._read_columns, at.solved)
        changed = self._placed(torch.zeros_like(columns), self._place_columns, seen)
        columns = columns + multiply(changed, along_columns)
        seen = _near(columns, self._read_columns, at.to_rows)
        changed = self._placed(torch.zeros_like(rows), self._place_rows, seen)
        rows = rows + multiply(changed, along_rows)
        return rows, self._outside_the_corner(columns)

    def _placed(self, target: Tensor, places: Tensor, values: Tensor) -> Tensor:
        """Lines less values (P, g N c) at places."""
        flat = torch.addmm(target.flatten(1), places, values.to(target.dtype), alpha=-1)
        return flat.view_as(target)

    def _outside_the_corner(self, columns: Tensor) -> Tensor:
        """Columns with what they have in the added rows set to 0: the rows hold it."""
        flat = columns.flatten(1)
        crossed = torch.mm(self._corner[0], flat).real.to(flat.dtype)
        return torch.addmm(flat, self._corner[1], crossed, alpha=-1).view_as(columns)


def _near(lines: Tensor, reads: Tensor, matrix: Tensor) -> Tensor:
    """Lines (F, g, N, n) read in a window (P, F), times a matrix (g, P' n, P n), (P', g N n)."""
    groups, images, n = lines.shape[1:]
    window = torch.mm(reads, lines.flatten(1)).real.view(-1, groups, images, n)
    window = window.permute(1, 2, 0, 3).flatten(2)
    product = torch.bmm(window, matrix.mT).view(groups, images, -1, n)
    return product.permute(2, 0, 1, 3).flatten(1)


def _lines_last(values: Tensor, images: torch.Size) -> Tensor:
    """(F, e, g N c) as (F, g, N, e c)."""
    f, e = values.shape[:2]
    if e == 1:
        return values.reshape(f, *images)
    return values.reshape(f, e, *images).permute(0, 2, 3, 1, 4).reshape(f, *images[:2], -1)


def _lines_first(values: Tensor, e: int) -> Tensor:
    """(F, g, N, e c) as (F, e, g N c)."""
    f, g, n, _ = values.shape
    return values.view(f, g, n, e, -1).permute(0, 3, 1, 2, 4).reshape(f, e, -1)
