"""The inverse under zero, reflect or replicate padding, kept ready: `border`'s formula at work."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.layers.linalg.border import Factors
from medinv.layers.linalg.circulant import Circulant
from medinv.layers.linalg.fourier import half, multiply


@dataclass(frozen=True)
class _Direction:
    """The coefficients of one direction, `A^-1` or `A^-T`; F1 half of the rows, F2 all columns."""

    read_rows: Tensor  # (e, F1)
    read_columns: Tensor  # (e, F2)
    place_rows: Tensor  # (F1, e)
    place_columns: Tensor  # (F2, e)
    along_rows: Tensor  # (F2, g, e c, e c), to stand on the right of rows of values
    along_columns: Tensor  # (F1, g, e c, e c)
    crossing: Tensor  # (g, n, n)


class Bordered:
    """Solves `A x = y` and `A^T x = y` on images (N, C, H, W), in the real type `dtype`.

    The factors are made in float64 by `border`, `crossing` is T for a window of `reach`. An image
    never meets another.
    """

    def __init__(self, factors: Factors, crossing: Tensor, reach: int, dtype: torch.dtype):
        self.cross, self.dtype = factors.cross, dtype
        size = (self.cross.rows.size, self.cross.columns.size)
        device = factors.inverse.device
        self.circulant = Circulant.of_inverse(factors.inverse, size, self.cross.torus, dtype)
        self._factors = (
            factors.along_rows.to(dtype.to_complex()).mT.contiguous(),
            factors.along_columns.to(dtype.to_complex()).mT.contiguous(),
            crossing.mT.to(dtype).contiguous(),
        )
        rows, columns = self.cross.rows, self.cross.columns
        across, down = columns.near(reach), rows.near(reach)
        matrices = {
            "near_rows": columns.reads(across, True),  # (a, F2)
            "near_columns": rows.reads(down, False),  # (b, F1)
            "from_rows": columns.places(across, True),  # (F2, a)
            "from_columns": rows.places(down, False),  # (F1, b)
            "crossed": rows.reads(rows.added, False),  # (e, F1)
            "cross": rows.places(rows.added, False),  # (F1, e)
        }
        self._fixed = {key: m.to(device, dtype.to_complex()) for key, m in matrices.items()}
        self._directions: dict[bool, _Direction] = {}

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`A^-1 y`, or `A^-T y`. Not differentiable: see `solve`."""
        fourier, matrices = self.circulant.fourier, self.circulant.matrices(transposed)
        spectrum = fourier.forward(y)
        z = multiply(spectrum, matrices)
        if not transposed:
            self._subtract(spectrum, z, self._direction(False))
            return fourier.inverse(multiply(spectrum, matrices))
        correction = torch.zeros_like(z)
        self._subtract(correction, z, self._direction(True))
        return fourier.inverse(z + multiply(correction, matrices))

    def _subtract(self, target: Tensor, z: Tensor, at: _Direction) -> None:
        """Subtract from a spectrum what K^-1 makes of the border of `z`, both (F, g, N, c)."""
        f1, f2 = half(self.cross.torus[0]), self.cross.torus[1]
        images = z.shape[1:]
        e = at.read_rows.shape[0]
        rows = torch.mm(at.read_rows, z.view(f1, -1)).view(e, f2, -1)
        rows = rows + rows.flip(1).roll(1, 1).conj_physical()
        columns = torch.matmul(at.read_columns, z.view(f1, f2, -1))  # (F1, e, g N c)
        columns = self._outside_the_crossing(columns)
        solved = self._solved(_to_rows(rows.transpose(0, 1), images), _to_rows(columns, images), at)
        placed = _from_rows(solved[0], e).transpose(0, 1).reshape(e, -1)
        target.view(f1, -1).addmm_(at.place_rows, placed, alpha=-1)
        placed = self._outside_the_crossing(_from_rows(solved[1], e))
        coefficients = at.place_columns.expand(f1, -1, -1)
        target.view(f1, f2, -1).baddbmm_(coefficients, placed, alpha=-1)

    def _outside_the_crossing(self, columns: Tensor) -> Tensor:
        """Values down the added columns (F1, e, ...) with those in the added rows set to 0."""
        flat = columns.flatten(1)
        crossed = torch.mm(self._fixed["crossed"], flat).real.to(flat.dtype)
        return torch.addmm(flat, self._fixed["cross"], crossed, alpha=-1).view_as(columns)

    def _solved(self, rows: Tensor, columns: Tensor, at: _Direction) -> tuple[Tensor, Tensor]:
        """K^-1 of border values, rows (F2, g, N, e c) and columns (F1, g, N, e c)."""
        fixed = self._fixed
        rows, columns = multiply(rows, at.along_rows), multiply(columns, at.along_columns)
        near = [
            torch.mm(fixed["near_rows"], rows.flatten(1)).real.unflatten(1, rows.shape[1:]),
            torch.mm(fixed["near_columns"], columns.flatten(1)).real.unflatten(1, rows.shape[1:]),
        ]
        window = torch.cat(near).permute(1, 2, 0, 3)  # (g, N, a + b, e c)
        changed = torch.bmm(window.flatten(2), at.crossing).view(window.shape).permute(2, 0, 1, 3)
        changed = changed.reshape(changed.shape[0], -1).to(rows.dtype)
        a = near[0].shape[0]
        back = [
            torch.mm(fixed["from_rows"], changed[:a]).view_as(rows),
            torch.mm(fixed["from_columns"], changed[a:]).view_as(columns),
        ]
        return (
            rows - multiply(back[0], at.along_rows),
            columns - multiply(back[1], at.along_columns),
        )

    def _direction(self, transposed: bool) -> _Direction:
        if transposed not in self._directions:
            rows, columns = self.cross.rows, self.cross.columns
            read, place = (not transposed, transposed)
            matrices = (
                rows.reader(rows.pattern(read), False) / 2,
                columns.reader(columns.pattern(read), True),
                rows.placed(rows.pattern(place), False),
                columns.placed(columns.pattern(place), True),
            )
            along = [
                m.mT.conj_physical().contiguous() if transposed else m for m in self._factors[:2]
            ]
            crossing = self._factors[2].mT.contiguous() if transposed else self._factors[2]
            like = self._fixed["cross"]
            read_rows, read_columns, place_rows, place_columns = (m.to(like) for m in matrices)
            self._directions[transposed] = _Direction(
                read_rows, read_columns, place_rows, place_columns, along[0], along[1], crossing
            )
        return self._directions[transposed]


def _to_rows(values: Tensor, images: torch.Size) -> Tensor:
    """(F, e, g N c) as (F, g, N, e c)."""
    f, e = values.shape[:2]
    return values.reshape(f, e, *images).permute(0, 2, 3, 1, 4).reshape(f, *images[:2], -1)


def _from_rows(values: Tensor, e: int) -> Tensor:
    """(F, g, N, e c) as (F, e, g N c)."""
    f, g, n, _ = values.shape
    return values.view(f, g, n, e, -1).permute(0, 3, 1, 2, 4).reshape(f, e, -1)
