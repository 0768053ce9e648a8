"""BiCGStab (van der Vorst 1992, doi 10.1137/0913035) for a batch of images at once, each with
scalars of its own.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def bicgstab(apply: Map, y: Tensor, tolerance: float, iterations: int) -> Tensor:
    """Approximate solution u of `apply(u) = y`, y (N, ...), after at most `2 * iterations`
    products, starting from 0.

    An image stands still once |y - apply(u)| <= tolerance |y| by the recurrence, or where the
    method breaks down; the caller judges by the true residual and calls again with it.
    """
    u, p, v = torch.zeros_like(y), torch.zeros_like(y), torch.zeros_like(y)
    r, shadow = y.clone(), y
    rho = alpha = omega = y.new_ones(len(y))
    goal = tolerance * _dot(y, y).sqrt()
    for _ in range(iterations):
        active = _dot(r, r).sqrt() > goal
        if not bool(active.any()):
            break
        previous, rho = rho, _dot(shadow, r)
        p = r + _scale(_ratio(rho, previous) * _ratio(alpha, omega), p - _scale(omega, v))
        v = apply(p)
        alpha = _ratio(rho, _dot(shadow, v)) * active
        s = r - _scale(alpha, v)
        t = apply(s)
        omega = _ratio(_dot(t, s), _dot(t, t)) * active
        u = u + _scale(alpha, p) + _scale(omega, s)
        r = s - _scale(omega, t)
    return u


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a.flatten(1) * b.flatten(1)).sum(1)


def _scale(factors: Tensor, images: Tensor) -> Tensor:
    return factors.reshape(-1, *[1] * (images.ndim - 1)) * images


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: a breakdown stops that image instead of filling it with NaN."""
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))
