"""Solving `A x = y` for a convolution A under any padding, to the rounding of float64 or not at
all.

| padding | method |
|---|---|
| circular, or a kernel of one pixel | one small matrix a frequency, or one, `circulant` |
| others, images | the same on a larger torus and a correction of its border, `border` |
| others, small images | the same with one dense matrix for the border, `small_border` |
| others, volumes, up to 8,192 border unknowns a group | dense factors of it, `dense_border` |
| where the torus loses what the image keeps, up to 8,192 unknowns | dense factors of A |
| else | BiCGStab preconditioned by the nearest of these, `krylov` |

How many steps of iterative refinement a direct method needs is found once, on random images: it
never depends on what is solved, so that no image of a batch feels another. Iterated images are
judged one by one.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from medinv.errors import ConvergenceError, SingularError
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.border import Crossing, Factors
from medinv.layers.linalg.bordered import Bordered
from medinv.layers.linalg.circulant import Circulant, Pointwise
from medinv.layers.linalg.cross import Cross
from medinv.layers.linalg.dense_border import DenseBorder, border_unknowns
from medinv.layers.linalg.krylov import bicgstab
from medinv.layers.linalg.memory import CROSSING, DIRECT, FAR, check_fits
from medinv.layers.linalg.small_border import SmallBorder, is_small

TOLERANCE = 1e-14  # of the backward error |y - A x| / (|A| |x| + |y|)
SINGLE = 1e-6  # the same where everything is float32; a method that does not reach it uses float64
CORRECTIONS = 6  # steps of iterative refinement at most
ITERATIONS = 200  # of BiCGStab in each, two products an iteration
NEAR, ALL = 3e-7, 1e-15  # share of the response left out of a border that is solved once
ROUNDS = (2, 3, 4)  # of solving the border in float32, for float64
SHARE = 0.25  # of TOLERANCE that those leave: an error may be local, and a tenth is rounding
WIDE = 2400  # rows of a window beyond which three rounds of a narrow one take less than two


class Engine(Protocol):
    """What solves, exactly or nearly."""

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """`A^-1 y` or `A^-T y`."""
        ...


class Solver:
    """`A^-1 y` and `A^-T y` for one kernel, image size, padding and number of groups.

    Raises SingularError where A has no inverse in float64, and ConfigError where the factors would
    not fit into memory, before any is made.
    """

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int = 1):
        self.weight, self.size, self.groups = weight.detach().double(), tuple(size), groups
        self.padding = pads.effective(weight.shape[2:], padding)
        # Engines see images turned: their first axis is then the one contiguous in memory.
        self._kernel, self._sides = self.weight.transpose(2, -1), self.size[::-1]
        check_fits(weight, self.size, self.padding, groups)
        self.single = weight.dtype != torch.float64
        self.corrections, self.iterated = 0, False
        self.engine = self._choose()

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """x (N, C, *size) in the type of `y`.

        Raises ConvergenceError if an image that is iterated keeps a backward error over 1e-14.
        """
        if y.shape[0] == 0:
            return torch.zeros_like(y)
        wanted = y.to(torch.float32 if self.single else torch.float64)
        if self.iterated:
            return self._iterate(wanted, transposed).to(y.dtype)
        x = _solved(self.engine, wanted, transposed)
        for _ in range(self.corrections):
            residual = wanted - self.product(x, transposed)
            x = x + _solved(self.engine, residual, transposed)
        return x.to(y.dtype)

    def product(self, x: Tensor, transposed: bool = False) -> Tensor:
        """`A x` or `A^T x` in float64."""
        product = pads.linear_transposed if transposed else pads.linear
        return product(x, self.weight, self.padding, self.groups)

    def _choose(self) -> Engine:
        if self.padding == "circular":
            dtype = torch.float32 if self.single else torch.float64
            try:
                if max(self.weight.shape[2:]) == 1:
                    return Pointwise(self.weight, self.groups, dtype)
                return Circulant(self._kernel, self._sides, self.groups, dtype=dtype)
            except SingularError as error:
                raise SingularError(self._lost("it loses a wave")) from error
        try:
            return self._judged(self._border())
        except (SingularError, torch.linalg.LinAlgError) as error:
            # The torus loses what the image need not lose.
            if self.weight.shape[0] * math.prod(self.size) > DIRECT:
                nearest = symbols.clipped_inverse(self._kernel, self._sides, self.groups)
                return self._iterating(self._circulant(nearest), error)
            self.single = False
            return self._judged(_Dense(self._kernel, self._sides, self.padding, self.groups))

    def _border(self) -> Engine:
        if len(self.size) == 2:
            return self._cross()
        width, kernel = self.weight.shape[1], self.weight.shape[2:]
        self.single = False
        if border_unknowns(width, self.size, kernel, self.padding) <= DIRECT:
            return DenseBorder(self._kernel, self._sides, self.padding, self.groups)
        self.iterated = True
        return Circulant(self._kernel, self._sides, self.groups)

    def _cross(self) -> Engine:
        """Factors on the smallest torus that loses nothing; float32 where that suffices."""
        factors = regular(self._kernel, self._sides, self.padding, self.groups, logs=False)
        small = is_small(factors.cross, self.weight.shape[1])
        if self.single:
            engine: Engine = (
                SmallBorder(factors, torch.float32)
                if small
                else Bordered(factors, self._narrow(factors), torch.float32)
            )
            if self._error(engine, self._random(torch.float32))[1] <= SINGLE:
                return engine
        self.single = False
        return SmallBorder(factors, torch.float64) if small else self._in_rounds(factors)

    def _in_rounds(self, factors: Factors) -> Bordered:
        """Float64 of a border that is solved in float32, as often as that asks for."""
        y, far, inside = self._random(torch.float64), factors.reach(FAR), factors.cross.inside
        crossing = (
            Crossing.of(factors, far, torch.float32, further=inside)
            if factors.order(far + inside) <= WIDE
            else self._narrow(factors)
        )
        engine = Bordered(factors, crossing, torch.float64)
        for engine.rounds in ROUNDS:
            error = self._error(engine, y)[1]
            if error <= SHARE * TOLERANCE:
                return engine
        reach = _limited(factors, factors.reach(ALL))
        return Bordered(factors, Crossing.of(factors, reach, torch.float64), torch.float64)

    def _narrow(self, factors: Factors) -> Crossing:
        reach = _limited(factors, factors.reach(NEAR))
        return Crossing.of(factors, reach, torch.float32)

    def _judged(self, engine: Engine) -> Engine:
        """The engine, once it is known how many refinements it needs, if any number will do."""
        if self.iterated or self.single:
            return engine
        y = self._random(torch.float64)
        x, error = self._error(engine, y)
        growth = self._growth(engine, x)
        for count in range(CORRECTIONS):
            if error <= TOLERANCE and growth < symbols.LOST:
                self.corrections = count + (count > 0)  # one more where an error may be local
                return engine
            x = x + _solved(engine, y - self.product(x))
            last, error = error, self._backward_error(y - self.product(x), x, y).max().item()
            if not error < 0.1 * last:
                break
        if isinstance(engine, Bordered) and growth < symbols.LOST:
            return self._iterating(engine, None)
        raise SingularError(self._lost(f"condition number near {growth:.1e}"))

    def _iterating(self, engine: Engine, cause: Exception | None) -> Engine:
        self.iterated, self.single, self.engine = True, False, engine
        try:
            self._iterate(self._random(torch.float64), False)
        except ConvergenceError as error:
            raise error from cause
        return engine

    def _circulant(self, inverse: Tensor) -> Circulant:
        return Circulant.of_inverse(inverse, self._sides, self._sides, torch.float64)

    def _random(self, dtype: torch.dtype) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        y = torch.randn(2, self.weight.shape[0], *self.size, dtype=dtype, generator=generator)
        return y.to(self.weight.device)

    def _error(self, engine: Engine, y: Tensor) -> tuple[Tensor, float]:
        """The solution of a random system and its backward error."""
        x, y = _solved(engine, y).double(), y.double()
        return x, self._backward_error(y - self.product(x), x, y).max().nan_to_num(math.inf).item()

    def _growth(self, engine: Engine, x: Tensor) -> float:
        """A lower estimate of the condition number, which is right within a few for lost images."""
        back = _solved(engine, x / x.abs().max(), True).abs().max()
        return (self._norm() * back).nan_to_num(math.inf).item()

    def _iterate(self, y: Tensor, transposed: bool) -> Tensor:
        """Refined BiCGStab on each finite image; others are NaN."""
        result = torch.full_like(y, math.nan)
        finite = torch.isfinite(y).flatten(1).all(1).nonzero().flatten()
        y = y[finite]
        x, error = torch.zeros_like(y), y.new_full((len(y),), math.inf)
        for _ in range(CORRECTIONS):
            missing = (~(error <= TOLERANCE)).nonzero().flatten()
            if not len(missing):
                break
            residual = y[missing] - self.product(x[missing], transposed)
            x[missing] += self._krylov(residual, transposed)
            left = y[missing] - self.product(x[missing], transposed)
            error[missing] = self._backward_error(left, x[missing], y[missing])
        self._judge(error.max().item() if len(error) else 0.0)
        # The judgement is of whole images; one more step mends what is wrong at a few pixels.
        residual = y - self.product(x, transposed)
        result[finite] = x + _solved(self.engine, residual, transposed)
        return result

    def _krylov(self, y: Tensor, transposed: bool) -> Tensor:
        """BiCGStab on `A P u = y`, `x = P u`, P the engine; A^T P^T has the spectrum of A P."""

        def product(u: Tensor) -> Tensor:
            return self.product(_solved(self.engine, u, transposed), transposed)

        return _solved(self.engine, bicgstab(product, y, 1e-12, ITERATIONS), transposed)

    def _backward_error(self, residual: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """(N,), one an image."""
        norms = [torch.linalg.vector_norm(v.flatten(1), dim=1) for v in (residual, x, y)]
        scale = self._norm() * norms[1] + norms[2]
        return norms[0] / scale.clamp_min(torch.finfo(torch.float64).tiny)

    def _norm(self) -> Tensor:
        """Root mean square of the singular values, so at most |A|."""
        return torch.linalg.vector_norm(self.weight) / self.weight.shape[0] ** 0.5

    def _what(self) -> str:
        sides = "x".join(map(str, self.size))
        return f"{self.padding}-padded convolution of {len(self.weight)} channels on {sides} images"

    def _lost(self, how: str) -> str:
        named = "`null_directions` names what is lost"
        return f"a {self._what()} is singular to rounding ({how}); {named}"

    def _judge(self, error: float) -> None:
        if not error <= TOLERANCE:
            raise ConvergenceError(
                f"the inverse of a {self._what()} was not reached: backward error {error:.1e} after"
                f" {CORRECTIONS} refinements, each of at most {ITERATIONS} steps of BiCGStab,"
                f" expected {TOLERANCE:.0e}. Keep the kernel near an isometry or the image small"
            )


def _limited(factors: Factors, reach: int) -> int:
    """The reach, or the most that can be factorised: approximate, to be refined."""
    while factors.order(reach) > CROSSING and reach > 1:
        reach -= 1
    return reach


def _solved(engine: Engine, y: Tensor, transposed: bool = False) -> Tensor:
    """By an engine, which sees images turned."""
    return engine.solve(y.transpose(2, -1), transposed=transposed).transpose(2, -1)


def regular(
    weight: Tensor, size: Sequence[int], padding: str, groups: int, *, logs: bool = True
) -> Factors:
    """Factors on a torus that loses nothing: a little larger where the smallest does.

    Raises SingularError if none will do. With `logs` differentiable in the kernel.
    """
    lost = SingularError("no torus was tried")
    for spare in (0, 1, 2):
        try:
            cross = Cross.of(size, weight.shape[2:], padding, spare)
            factors = Factors(weight, cross, groups, logs=logs)
            factors.check()
            return factors
        except SingularError as error:
            lost = error
    raise lost


class _Dense:
    """LU factors of the whole matrix, for small images."""

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int):
        matrix = pads.matrix(weight, size, padding, groups)
        self.factor, self.pivots, _ = torch.linalg.lu_factor_ex(matrix)  # 0 shows in the solutions

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        columns = y.double().flatten(1).T
        x = torch.linalg.lu_solve(self.factor, self.pivots, columns, adjoint=transposed)
        return x.T.reshape(y.shape).to(y.dtype)
