"""log |det| of a convolution under any padding, on images no larger than its kernel asks for.

What a convolution adds to log |det A| a pixel, a pixel of an edge, and a corner, is the same for
all sizes across which the impulse response of its inverse dies away,

    log |det A| = t_1 t_2 pixel + t_2 row + t_1 column + corner,

up to an error of the order of the square of what is left of it half way (for a torus, whose sum
over frequencies is a trapezoidal rule: Trefethen and Weideman, SIAM Review 2014, doi
10.1137/130932132; for edges: Widom, Advances in Mathematics 1976, 10.1016/0001-8708(76)90113-4). So
the four are taken from a smaller image where there is one that will do, which is seen from its
own impulse response, and else from the image's own size. `reduction` takes less time for padded
images, where the response dies away within a few pixels.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from medinv.errors import ConfigError, SingularError
from medinv.layers.linalg import dense_border, reduction
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.dense_border import border_unknowns
from medinv.layers.linalg.fourier import multiplicities
from medinv.layers.linalg.memory import DIRECT
from medinv.layers.linalg.response import Response, smaller
from medinv.layers.linalg.solve import regular

# share of the response that is not seen half way across an image; the result errs by the square
LEFT_OUT = {torch.float64: 1e-7, torch.float32: 3e-4}


class Factored(Protocol):
    """A convolution whose determinant is known as the sum of the four terms above."""

    @property
    def response(self) -> Response:
        """The impulse response of the inverse."""
        ...

    def log_abs_det(self, size: Sequence[int], left_out: float) -> Tensor:
        """log |det A| on images of `size`."""
        ...


def log_abs_det(weight: Tensor, size: Sequence[int], padding: str, groups: int = 1) -> Tensor:
    """log |det| of the convolution on images of `size`, a scalar, differentiable to every order.

    It is computed in float64 but for circular padding and, where derivatives are asked for, for
    kernels whose inverse's response dies away soon: these in the weights' type. Raises
    ConfigError for padded volumes whose border has more than 8,192 unknowns a group, since it is
    factorised densely, and SingularError where the operator, or every torus around it, is singular.
    """
    padding, weight = pads.effective(weight.shape[2:], padding), symbols.at_least_single(weight)
    with torch.autocast(weight.device.type, enabled=False):
        if padding == "circular" and symbols.values_are_unseen():
            return _Circular(weight, size, groups).log_abs_det(size, 0.0)
        if padding == "circular":
            return _from_enough(lambda n: _Circular(weight, n, groups), weight, size, groups)
        if len(size) == 2:
            precise = weight if torch.is_grad_enabled() else weight.double()
            value = reduction.log_abs_det(precise, size, padding, groups)
            if value is not None:
                return value.to(weight.dtype)
        try:
            value = _bordered(weight, size, padding, groups)
        except SingularError:  # the torus loses what the padded operator need not lose
            if weight.shape[0] * math.prod(size) > DIRECT:
                raise
            dense = pads.matrix(weight.double(), size, padding, groups)
            value = torch.linalg.slogdet(dense)[1]
        return value.to(weight.dtype)


class _Circular:
    """Circular padding: the term of a pixel alone."""

    def __init__(self, weight: Tensor, size: Sequence[int], groups: int):
        self._torus, self._inverse = size, None
        self._matrices = symbols.half_first(weight, size, groups)
        with symbols.singular_means_lost(weight, size):
            if torch.is_grad_enabled():
                self._inverse, self._logs = symbols.InverseAndLogDet.apply(self._matrices)
            else:
                self._logs = symbols.log_abs_dets(self._matrices)

    @property
    def response(self) -> Response:
        """That of C^-1."""
        inverse = self._inverse
        if inverse is None:
            inverse = symbols.InverseAndLogDet.apply(self._matrices)[0]
        return Response(inverse, self._torus)

    def log_abs_det(self, size: Sequence[int], left_out: float) -> Tensor:
        """The mean over the frequencies of the torus, times the pixels."""
        once = multiplicities(self._torus[0], self._logs.device).to(self._logs)
        total = (self._logs.flatten(1).sum(1) * once).sum()
        return total * (math.prod(size) / math.prod(self._torus))


def _from_enough(
    make: Callable[[Sequence[int]], Factored], weight: Tensor, size: Sequence[int], groups: int
) -> Tensor:
    """From what `make` makes of the smallest image tried that will do."""
    left_out, kernel = LEFT_OUT[weight.dtype], weight.shape[2:]
    for small in smaller(weight, size, groups, left_out):
        try:
            made = make(small)
        except SingularError:  # by a wave that the image itself may not have
            continue
        dies_away = made.response.dies_away(left_out, kernel)
        if all(gone or m == n for gone, m, n in zip(dies_away, small, size, strict=True)):
            return made.log_abs_det(size, left_out)
    return make(size).log_abs_det(size, left_out)


def _bordered(weight: Tensor, size: Sequence[int], padding: str, groups: int) -> Tensor:
    exact = weight.double()
    if len(size) == 2:
        return _from_enough(lambda n: regular(exact, n, padding, groups), weight, size, groups)
    unknowns = border_unknowns(weight.shape[1], size, weight.shape[2:], padding)
    if unknowns > DIRECT:
        raise ConfigError(
            f"log_det with {padding} padding expects a border of at most {DIRECT} unknowns a group,"
            f" since it factorises a dense matrix of that order; {weight.shape[1]} channels on"
            f" {tuple(size)} volumes have {unknowns}: use circular padding or more groups"
        )
    return dense_border.log_abs_det(exact, size, padding, groups)
