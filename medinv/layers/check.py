"""Does a layer give its input back?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.layers.base import Chain, Invertible


@dataclass(frozen=True)
class RoundTrip:
    """What `round_trip` found. Errors are in units of the stored values."""

    max_abs_error: float
    exact: Tensor  # (N,) bool: every value of the image comes back after rounding
    bits: int
    dtype: str
    worst_layer: str | None  # of a Chain: the layer whose inverse leaves the largest relative error, as "index name"
    restored: Tensor  # what came back, before rounding

    @property
    def all_exact(self) -> bool:
        return bool(self.exact.all())


@torch.no_grad()
def round_trip(layer: Invertible, x: Tensor, *, bits: int = 8) -> RoundTrip:
    """Run `x` (N, ...), integers from 0 to 2^bits - 1 held as floats, forwards and back, and compare.

    An image is exact if rounding restores every value, that is if no error reaches one half.
    """
    restored = layer.inverse(layer(x))
    error = (restored - x).abs().flatten(1)
    exact = (restored.round() == x).flatten(1).all(1)
    worst = _worst(layer, x) if isinstance(layer, Chain) else None
    return RoundTrip(error.max().item(), exact, bits, str(x.dtype).removeprefix("torch."), worst, restored)


def _worst(chain: Chain, x: Tensor) -> str:
    errors = []
    for index, layer in enumerate(chain):
        y = layer(x)
        scale = x.abs().max().clamp_min(torch.finfo(x.dtype).tiny)
        errors.append((((layer.inverse(y) - x).abs().max() / scale).item(), f"{index} {type(layer).__name__}"))
        x = y
    return max(errors)[1]
