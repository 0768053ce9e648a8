"""The solution of a convolution's equation as a function with derivatives, and what it keeps.

`x = A(w)^-1 y` obeys `dx = A^-1 (dy - dA x)`, so that every derivative is another solution with the
same factors: `dL/dy = A^-T g`, `dL/dw = -d<A^-T g, A(w) x>/dw`. Written in differentiable
operations this holds to every order, forwards (jvp), backwards and over batches (vmap).
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from medinv.layers.linalg import padding as pads
from medinv.layers.linalg.derivatives import none_wanted
from medinv.layers.linalg.solve import Solver

T = TypeVar("T")
MOST_SIZES = 4  # image sizes whose factors are remembered


class FactorCache:
    """Factors of one layer's kernel, for the last image sizes. Copies and pickles begin empty.

    Threads share it: each gets the factors of the very weights that it brings.
    """

    def __init__(self) -> None:
        self._factors: dict[tuple[Any, ...], tuple[Tensor, Any]] = {}
        self._lock = threading.RLock()
        self.number = next(_numbers)
        _caches[self.number] = self

    def __reduce__(self) -> tuple[type["FactorCache"], tuple[()]]:
        return FactorCache, ()

    def __len__(self) -> int:
        return len(self._factors)

    def clear(self) -> None:
        """Free everything."""
        with self._lock:
            self._factors.clear()

    def solver(self, weight: Tensor, size: Sequence[int], padding: str, groups: int) -> Solver:
        """The solver for images of `size`."""
        return self.factors(weight, size, lambda w: Solver(w, size, padding, groups))

    def factors(self, weight: Tensor, size: Sequence[int], make: Callable[[Tensor], T]) -> T:
        """What `make` makes of the weights for images of `size`, anew where they have changed."""
        weight = weight.detach()
        key = (*size, weight.dtype, weight.device)
        with self._lock:
            factored, factors = self._factors.get(key, (None, None))
            if factors is None or factored is None or not torch.equal(factored, weight):
                self._factors.pop(key, None)
                factors = make(weight)
                while len(self._factors) >= MOST_SIZES:
                    self._factors.pop(next(iter(self._factors)))
                self._factors[key] = (weight.clone(), factors)
            return factors


_numbers = itertools.count()
_caches: WeakValueDictionary[int, FactorCache] = WeakValueDictionary()
_foreign = FactorCache()  # for exported programs, whose layer is in no memory


def solution(y: Tensor, weight: Tensor, padding: str, groups: int, cache: FactorCache) -> Tensor:
    """`A^-1 y` (N, C, *size) for the convolution A of `weight`, differentiable to every order."""
    if none_wanted(y, weight):
        return _solve(y, weight, padding, groups, False, cache.number)
    return Solve.apply(y, weight, padding, groups, False, cache.number)


def _solve(
    y: Tensor, weight: Tensor, padding: str, groups: int, transposed: bool, cache: int
) -> Tensor:
    if not y.shape[0]:
        return torch.zeros_like(y)
    with torch.autocast(y.device.type, enabled=False):
        solver = _caches.get(cache, _foreign).solver(weight, tuple(y.shape[2:]), padding, groups)
        return solver.solve(y.detach(), transposed=transposed)


solve_convolution = torch.library.custom_op(
    "medinv::solve_convolution", _solve, mutates_args=(), device_types=None
)
solve_convolution.register_fake(lambda y, *_: torch.empty_like(y))


class Solve(torch.autograd.Function):
    """`A^-1 y`, or `A^-T y`."""

    @staticmethod
    def forward(
        y: Tensor, weight: Tensor, padding: str, groups: int, transposed: bool, cache: int
    ) -> Tensor:
        """(N, C, *size) -> (N, C, *size)."""
        function = solve_convolution if torch.compiler.is_compiling() else _solve
        return function(y, weight, padding, groups, transposed, cache)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the solution for the derivatives."""
        ctx.save_for_backward(inputs[1], output)
        ctx.save_for_forward(inputs[1], output)
        ctx.how = inputs[2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """`A^-T g`, and the same with the solution for the weights."""
        weight, x = ctx.saved_tensors
        padding, groups, transposed, cache = ctx.how
        adjoint = Solve.apply(gradient, weight, padding, groups, not transposed, cache)
        to_weight = None
        if ctx.needs_input_grad[1]:
            seen, given = (adjoint, x) if transposed else (x, adjoint)
            to_weight = -kernel_gradient(seen, given, weight.shape, padding, groups)
        return adjoint, to_weight, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, y: Tensor | None, weight: Tensor | None, *_: None) -> Tensor:
        """`A^-1 (dy - dA x)`."""
        kernel, x = ctx.saved_tensors
        padding, groups, transposed, cache = ctx.how
        product = pads.linear_transposed if transposed else pads.linear
        change = torch.zeros_like(x) if y is None else y
        if weight is not None:
            change = change - product(x, weight, padding, groups)
        return Solve.apply(change, kernel, padding, groups, transposed, cache)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], y: Tensor, weight: Tensor, *how: Any
    ) -> tuple[Tensor, int]:
        """One solution for all, or one a kernel where the kernels differ."""
        count = info.batch_size
        ys = y.expand(count, *y.shape) if in_dims[0] is None else y.movedim(in_dims[0], 0)
        if in_dims[1] is None:
            return Solve.apply(ys.flatten(0, 1), weight, *how).unflatten(0, ys.shape[:2]), 0
        pairs = zip(ys, weight.movedim(in_dims[1], 0), strict=True)
        return torch.stack([Solve.apply(one, kernel, *how) for one, kernel in pairs]), 0


def kernel_gradient(
    x: Tensor, y: Tensor, shape: Sequence[int], padding: str, groups: int
) -> Tensor:
    """d<y, w * x>/dw (C, C / groups, *k), a sum over images and pixels for each tap."""
    padding = pads.effective(shape[2:], padding)
    wide = pads.padded(x, [side // 2 for side in shape[2:]], padding).unflatten(1, (groups, -1))
    given = y.unflatten(1, (groups, -1)).flatten(3)
    taps = []
    for tap in itertools.product(*map(range, shape[2:])):
        window = wide[(..., *(slice(t, t + n) for t, n in zip(tap, x.shape[2:], strict=True)))]
        taps.append(torch.einsum("ngop,ngip->goi", given, window.flatten(3)))
    return torch.stack(taps, -1).flatten(0, 1).unflatten(-1, tuple(shape[2:]))
