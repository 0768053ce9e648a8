"""Zero, reflect and replicate padding of volumes: a circular convolution and a dense border.

Let C be the circular convolution on a torus, E the restriction to a set of border pixels, and M a
matrix whose rows equal those of C elsewhere: M = C + E^T E (M - C). With K = E M C^-1 E^T, a dense
matrix as large as the border,

    M^-1 y = z - C^-1 E^T K^-1 E (M z - y),  z = C^-1 y,        det M = det C det K

(Woodbury; Hager 1989, doi 10.1137/1031049).

- reflect, replicate: the torus is the image and M the convolution A itself; the border is a ring as
  wide as half the kernel on every side.
- zeros: the torus is larger by half a kernel, the border is what was added, M = [[A, B], [0, I]]
  sets the image to zero there, and K = E C^-1 E^T. The border is then half as large, and K eight
  times as cheap to factorise.

Images have the quicker form of `border`.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import SingularError
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.circulant import Circulant
from medinv.layers.linalg.fourier import multiplicities


def border_unknowns(channels: int, size: Sequence[int], kernel: Sequence[int], padding: str) -> int:
    """Order of K for one group of `channels`."""
    margins = [side // 2 for side in kernel]
    inner = [
        n if padding == "zeros" else max(n - 2 * m, 0) for n, m in zip(size, margins, strict=True)
    ]
    outer = [n + m if padding == "zeros" else n for n, m in zip(size, margins, strict=True)]
    return channels * (_volume(outer) - _volume(inner))


def _volume(sides: Sequence[int]) -> int:
    return int(torch.tensor(list(sides)).prod())


class Border:
    """The geometry of a border: the torus, the border pixels (B, d), and per kernel tap the border
    outputs that read beyond the image.
    """

    def __init__(self, size: Sequence[int], kernel: Sequence[int], padding: str, spare: int = 0):
        self.size, self.padding = tuple(size), padding
        margins = [side // 2 for side in kernel]
        self.torus = (
            tuple(n + m + spare for n, m in zip(size, margins, strict=True))
            if padding == "zeros"
            else self.size
        )
        grid = torch.cartesian_prod(*[torch.arange(n) for n in self.torus]).reshape(
            -1, len(self.torus)
        )
        low, high = (
            (0, self.size)
            if padding == "zeros"
            else (torch.tensor(margins), [n - m for n, m in zip(size, margins, strict=True)])
        )
        inside = ((grid >= low) & (grid < torch.tensor(high))).all(1)
        self.pixels = grid[~inside]
        self.taps = [] if padding == "zeros" else list(self._reads(kernel))

    def _reads(
        self, kernel: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], Tensor, Tensor, Tensor]]:
        """(tap, which border outputs read outside with it, where the padding takes the value from,
        where the torus does).
        """
        sizes = torch.tensor(self.size)
        for tap in product(*[range(side) for side in kernel]):
            read = self.pixels + torch.tensor(
                [t - side // 2 for t, side in zip(tap, kernel, strict=True)]
            )
            rows = ((read < 0) | (read >= sizes)).any(1).nonzero().flatten()
            if len(rows):
                padded = torch.stack(
                    [
                        pads.source(column, n, self.padding)
                        for column, n in zip(read[rows].T, self.size, strict=True)
                    ],
                    1,
                )
                yield tap, rows, padded, read[rows].remainder(sizes)

    def flat(self, positions: Tensor) -> Tensor:
        """Positions (..., d) on the torus as indices into its flattened pixels."""
        index = torch.zeros(positions.shape[:-1], dtype=torch.long)
        for axis, n in enumerate(self.torus):
            index = index * n + positions[..., axis].remainder(n)
        return index


def _regular(
    weight: Tensor, size: Sequence[int], padding: str, groups: int
) -> tuple[Border, Tensor, Tensor]:
    """A border, the symbol of C^-1 and log |det C| on its torus; differentiable.

    For zeros a torus that loses a wave can be a little larger. Raises SingularError if none will
    do.
    """
    lost = SingularError("no torus was tried")
    for spare in (0, 1, 2) if padding == "zeros" else (0,):
        border = Border(size, weight.shape[2:], padding, spare)
        try:
            symbols.inverse_symbol(weight, border.torus, groups)
            symbol = symbols.half_first(weight, border.torus, groups)
            inverse, logs = symbols.InverseAndLogDet.apply(symbol)
        except SingularError as error:
            lost = error
            continue
        once = multiplicities(border.torus[0]).to(logs)
        return border, inverse, (logs.flatten(1).sum(1) * once).sum()
    raise lost


def capacitance(weight: Tensor, inverse: Tensor, border: Border, groups: int) -> Tensor:
    """K = E M C^-1 E^T as (groups, B c, B c), c channels a group, from the kernel and the inverse
    symbol on the torus. Differentiable.
    """
    d = len(border.torus)
    axes = (*range(4, 3 + d), 3)
    impulse = torch.fft.irfftn(
        inverse.permute(*range(d, d + 3), *range(d)),
        s=[border.torus[a - 3] for a in axes],
        dim=axes,
    ).flatten(3)
    pixels = border.pixels

    def response(at: Tensor) -> Tensor:  # C^-1 E^T at positions (P, d): (groups, c, c, P, B)
        index = border.flat(at[:, None] - pixels[None]).to(impulse.device)
        return impulse[..., index.flatten()].unflatten(-1, index.shape)

    if border.padding == "zeros":
        return response(pixels).permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)
    kernels = symbols.by_groups(weight, groups)
    order = len(pixels) * kernels.shape[1]
    k = (
        torch.eye(order, dtype=weight.dtype, device=weight.device)
        .expand(groups, -1, -1)
        .unflatten(1, (len(pixels), -1))
    )
    for tap, rows, padded, wrapped in border.taps:
        change = response(padded) - response(wrapped)
        term = torch.matmul(kernels[pads.at(tap)], change.flatten(2)).unflatten(2, change.shape[2:])
        k = k.index_add(1, rows.to(k.device), term.permute(0, 3, 1, 4, 2).flatten(3, 4))
    return k.flatten(1, 2)


class DenseBorder:
    """`A x = y` and `A^T x = y` by the formula above, with C^-1 in the Fourier basis and K in LU
    factors, both made in float64.
    """

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int = 1):
        self.weight, self.size, self.groups = weight.detach().double(), tuple(size), groups
        self.border, inverse, _ = _regular(self.weight, size, padding, groups)
        torus = self.border.torus
        self.circulant = Circulant.of_inverse(inverse, torus, torus, torch.float64)
        k = capacitance(self.weight, inverse, self.border, groups)
        factor, self.pivots, _ = torch.linalg.lu_factor_ex(
            k
        )  # a zero pivot shows in the solutions, which the caller judges
        self.factors = {torch.float64: factor}
        self.index = self.border.flat(self.border.pixels).to(weight.device)

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`A^-1 y` or `A^-T y` for y (N, C, *size)."""
        wide = F.pad(
            y,
            [
                s
                for n, t in zip(reversed(self.size), reversed(self.border.torus), strict=True)
                for s in (0, t - n)
            ],
        )
        z = self.circulant.solve(wide, transposed=transposed)
        if transposed:
            correction = self._spread(self._border_solve(self._read(z), True))
        else:
            correction = self._place(self._border_solve(self._departure(z), False), z)
        x = z - self.circulant.solve(correction, transposed=transposed)
        return x[pads.at([slice(n) for n in self.size])]

    def _border_solve(self, values: Tensor, transposed: bool) -> Tensor:
        """K^-1 or K^-T on border values (N, C, B)."""
        columns = values.unflatten(1, (self.groups, -1)).permute(1, 3, 2, 0)  # (groups, B, c, N)
        if values.dtype not in self.factors:
            self.factors[values.dtype] = self.factors[torch.float64].to(values.dtype)
        solved = torch.linalg.lu_solve(
            self.factors[values.dtype], self.pivots, columns.flatten(1, 2), adjoint=transposed
        )
        return solved.unflatten(1, columns.shape[1:3]).permute(3, 0, 2, 1).flatten(1, 2)

    def _read(self, z: Tensor) -> Tensor:
        return z.flatten(2)[..., self.index]

    def _place(self, values: Tensor, like: Tensor) -> Tensor:
        return torch.zeros_like(like).flatten(2).index_copy(2, self.index, values).view_as(like)

    def _departure(self, z: Tensor) -> Tensor:
        """E (M - C) z, (N, C, B); for zeros E M z, which is z itself there, since E y = 0."""
        if self.border.padding == "zeros":
            return self._read(z)
        flat = z.flatten(2)
        result = flat.new_zeros((*flat.shape[:2], len(self.index)))
        for kernel, rows, padded, wrapped in self._taps(z.dtype):
            change = (flat[..., padded] - flat[..., wrapped]).unflatten(1, (self.groups, -1))
            result.index_add_(2, rows, torch.einsum("goi,ngip->ngop", kernel, change).flatten(1, 2))
        return result

    def _spread(self, values: Tensor) -> Tensor:
        """(M - C)^T E^T of border values, as an image on the torus; for zeros E^T, which differs
        from it only outside the image.
        """
        like = values.new_zeros((*values.shape[:2], *self.border.torus))
        if self.border.padding == "zeros":
            return self._place(values, like)
        flat = like.flatten(2)
        for kernel, rows, padded, wrapped in self._taps(values.dtype):
            term = torch.einsum(
                "goi,ngop->ngip", kernel, values[..., rows].unflatten(1, (self.groups, -1))
            ).flatten(1, 2)
            flat.index_add_(2, padded, term).index_add_(2, wrapped, -term)
        return flat.view_as(like)

    def _taps(self, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        kernels = symbols.by_groups(self.weight.to(dtype), self.groups)
        for tap, rows, padded, wrapped in self.border.taps:
            device = kernels.device
            yield (
                kernels[pads.at(tap)],
                rows.to(device),
                self.border.flat(padded).to(device),
                self.border.flat(wrapped).to(device),
            )


def log_abs_det(weight: Tensor, size: Sequence[int], padding: str, groups: int = 1) -> Tensor:
    """log |det A| = log |det C| + log |det K|, a scalar. Differentiable."""
    border, inverse, circular = _regular(weight, size, padding, groups)
    k = capacitance(weight, inverse, border, groups)
    return circular + torch.linalg.slogdet(k)[1].sum()
