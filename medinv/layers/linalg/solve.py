"""Solving `A x = y` for a convolution A under any padding, to float64 rounding or not at all.

| padding | method | measured (12 and 32 channels, 32x32, condition 10 to 25) |
|---|---|---|
| circular | Fourier, `circulant` | |
| others, border up to 8,192 unknowns a group | Woodbury on the border, `linalg.border` | error 4e-13; 20 to 200 times faster than below once factorised |
| others, larger | BiCGStab preconditioned by the circulant, `krylov` | 45 to 60 products, error 3e-10 before refinement |

GMRES with that preconditioner takes as many products and stores them all; conjugate gradients on the normal equations take two to five times as many.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from medinv.errors import ConvergenceError, SingularError
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.border import Bordered, border_unknowns
from medinv.layers.linalg.circulant import Circulant
from medinv.layers.linalg.krylov import bicgstab

DIRECT = 8192  # unknowns: 0.5 GB of LU factors
TOLERANCE = 1e-14  # of the backward error |y - A x| / (|A| |x| + |y|)
SINGLE = 1e-6  # the same for float32 input: where a direct factor does not reach it in float32, it is applied in float64
CORRECTIONS = 6  # iterative refinements at most, each with at most ITERATIONS steps (two products a step) of BiCGStab
ITERATIONS = 200


class Solver:
    """`A^-1 y` and `A^-T y` for one kernel, image size, padding and number of groups."""

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int = 1):
        self.weight, self.size, self.groups = weight.detach().double(), tuple(size), groups
        self.padding = "circular" if all(side == 1 for side in weight.shape[2:]) else padding
        self.corrections, self.single = CORRECTIONS, False
        self.engine = self._engine()
        if isinstance(self.engine, Bordered | _Dense):
            self.corrections, self.single = self._probe(weight.dtype == torch.float32)

    def _engine(self):
        if self.padding == "circular":
            return Circulant(self.weight, self.size, self.groups)
        channels = self.weight.shape[1]
        try:
            if border_unknowns(channels, self.size, self.weight.shape[2:], self.padding) <= DIRECT:
                return Bordered(self.weight, self.size, self.padding, self.groups)
            return _Preconditioned(self.weight, self.size, self.padding, self.groups)
        except (
            SingularError,
            torch.linalg.LinAlgError,
        ):  # the circular operator is lost where the padded one need not be
            if self.weight.shape[0] * torch.Size(self.size).numel() <= DIRECT:
                return _Dense(self.weight, self.size, self.padding, self.groups)
            raise

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        """x (N, C, *size) in the type of `y`. Raises ConvergenceError if the iteration leaves a backward error over 1e-14."""
        if y.dtype not in (torch.float32, torch.float64):
            return self.solve(y.float(), transposed=transposed).to(y.dtype)
        if isinstance(self.engine, Circulant) or self.single and y.dtype == torch.float32:
            return self.engine.solve(y, transposed=transposed)
        wanted = y.double()
        x = self.engine.solve(wanted, transposed=transposed)
        for _ in range(self.corrections):
            residual = wanted - self.product(x, transposed)
            error = self._backward_error(residual, x, wanted)
            if error <= TOLERANCE:
                return x.to(y.dtype)
            x = x + self.engine.solve(residual, transposed=transposed)
        if isinstance(self.engine, _Preconditioned):
            self._judge(self._backward_error(wanted - self.product(x, transposed), x, wanted))
        return x.to(y.dtype)

    def product(self, x: Tensor, transposed: bool = False) -> Tensor:
        return (pads.linear_transposed if transposed else pads.linear)(
            x, self.weight, self.padding, self.groups
        )

    def _backward_error(self, residual: Tensor, x: Tensor, y: Tensor) -> float:
        norms = [torch.linalg.vector_norm(v.flatten(1), dim=1) for v in (residual, x, y)]
        scale = self._norm() * norms[1] + norms[2]
        return (
            (norms[0] / scale.clamp_min(torch.finfo(torch.float64).tiny))
            .max()
            .nan_to_num(torch.inf)
            .item()
        )

    def _norm(self) -> Tensor:
        """Root mean square of the singular values, so at most |A|."""
        return torch.linalg.vector_norm(self.weight) / self.weight.shape[0] ** 0.5

    def _what(self) -> str:
        return f"{self.padding}-padded convolution of {self.weight.shape[0]} channels on {'x'.join(map(str, self.size))} images"

    def _probe(self, single: bool) -> tuple[int, bool]:
        """How many refinements a direct factor needs in float64, and, if asked for, whether float32 needs none.

        It serves every image alike, so that a random one tells; calls then make as many, unchecked.
        """
        generator = torch.Generator().manual_seed(0)
        y = torch.randn(
            2, self.weight.shape[0], *self.size, dtype=torch.float64, generator=generator
        ).to(self.weight.device)
        x = self.engine.solve(y)
        growth = (
            (self._norm() * self.engine.solve(x / x.abs().max(), transposed=True).abs().max())
            .nan_to_num(torch.inf)
            .item()
        )
        for count in range(CORRECTIONS):
            residual = y - self.product(x)
            error = self._backward_error(residual, x, y)
            if error <= TOLERANCE and growth < symbols.LOST:
                return count, single and self._single_suffices(y)
            x = x + self.engine.solve(residual)
        raise SingularError(
            f"a {self._what()} is singular to rounding (condition number near {growth:.1e}); `null_directions` names what is lost"
        )

    def _single_suffices(self, y: Tensor) -> bool:
        x = self.engine.solve(y.float()).double()
        return self._backward_error(y - self.product(x), x, y) <= SINGLE

    def _judge(self, error: float) -> None:
        if not error <= TOLERANCE:
            bound = f"{CORRECTIONS} refinements, each of at most {ITERATIONS} steps of BiCGStab"
            reached = f"backward error {error:.1e} after {bound}, expected {TOLERANCE:.0e}"
            advice = "Keep the kernel near an isometry, or use a smaller image"
            raise ConvergenceError(
                f"the inverse of a {self._what()} was not reached: {reached}. {advice}"
            )


class _Dense:
    """LU factors of the whole matrix, for small images."""

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int):
        self.factor, self.pivots, _ = torch.linalg.lu_factor_ex(
            pads.matrix(weight, size, padding, groups)
        )  # a zero pivot shows in the solutions

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        return (
            torch.linalg.lu_solve(
                self.factor, self.pivots, y.double().flatten(1).T, adjoint=transposed
            )
            .T.reshape(y.shape)
            .to(y.dtype)
        )


class _Preconditioned:
    """BiCGStab on `A C^-1 u = y`, `x = C^-1 u`, C the circular convolution with the same kernel."""

    def __init__(self, weight: Tensor, size: Sequence[int], padding: str, groups: int):
        self.circulant = Circulant(weight, size, groups)
        self.maps = {
            False: lambda u: pads.linear(self.circulant.solve(u), weight, padding, groups),
            True: lambda u: pads.linear_transposed(
                self.circulant.solve(u, transposed=True), weight, padding, groups
            ),
        }

    def solve(self, y: Tensor, *, transposed: bool = False) -> Tensor:
        # A^T C^-T = (C^-1 A)^T has the spectrum of A C^-1
        return self.circulant.solve(
            bicgstab(self.maps[transposed], y, 1e-12, ITERATIONS), transposed=transposed
        )


class Solve(torch.autograd.Function):
    """`A^-1 y` as a differentiable function of y; the gradient is `A^-T g`."""

    @staticmethod
    def forward(ctx, y: Tensor, solver: Solver, transposed: bool) -> Tensor:
        ctx.solver, ctx.transposed = solver, transposed
        return solver.solve(y, transposed=transposed)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return Solve.apply(gradient, ctx.solver, not ctx.transposed), None, None
