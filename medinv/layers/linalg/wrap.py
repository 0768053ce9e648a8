"""Circular padding and its transpose, each with one large copy; linear, so each is the other's
derivative, to every order.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from medinv.layers.linalg.derivatives import none_wanted


def wrapped(x: Tensor, margins: Sequence[int]) -> Tensor:
    """Images (..., *size) with what lies at the other side around, (..., *size + 2 margins)."""
    if none_wanted(x):
        return _wrap(x, tuple(margins))
    return _Linear.apply(x, tuple(margins), False)


def folded(wide: Tensor, margins: Sequence[int]) -> Tensor:
    """The transpose: what stands in the margins is added to where it was read."""
    return _Linear.apply(wide, tuple(margins), True)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, margins: tuple[int, ...], transposed: bool) -> Tensor:
        return (_fold if transposed else _wrap)(x, margins)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.margins, ctx.transposed = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Linear.apply(gradient, ctx.margins, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, *_: None) -> Tensor:
        return _Linear.apply(change, ctx.margins, ctx.transposed)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, None, None], x: Tensor, *how: Any
    ) -> tuple[Tensor, int]:
        return _Linear.apply(x.movedim(in_dims[0], 0), *how), 0


def _wrap(x: Tensor, margins: tuple[int, ...]) -> Tensor:
    d = len(margins)
    sides = [n + 2 * m for n, m in zip(x.shape[-d:], margins, strict=True)]
    wide = x.new_empty((*x.shape[:-d], *sides))
    inner = wide
    for axis, (n, m) in enumerate(zip(x.shape[-d:], margins, strict=True), start=-d):
        inner = inner.narrow(axis, m, n)
    inner.copy_(x)
    for axis, (n, m) in enumerate(zip(x.shape[-d:], margins, strict=True), start=-d):
        wide.narrow(axis, 0, m).copy_(wide.narrow(axis, n, m))
        wide.narrow(axis, n + m, m).copy_(wide.narrow(axis, m, m))
    return wide


def _fold(wide: Tensor, margins: tuple[int, ...]) -> Tensor:
    for axis, m in enumerate(margins, start=-len(margins)):
        n = wide.shape[axis] - 2 * m
        inner = wide.narrow(axis, m, n).clone(memory_format=torch.contiguous_format)
        inner.narrow(axis, n - m, m).add_(wide.narrow(axis, 0, m))
        inner.narrow(axis, 0, m).add_(wide.narrow(axis, n + m, m))
        wide = inner
    return wide
