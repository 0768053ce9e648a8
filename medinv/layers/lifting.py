"""Integer wavelets by lifting: each step adds to one half a rounded function of the other, and the
inverse subtracts the same number.
"""

import torch
from torch import Tensor

from medinv.errors import ShapeError
from medinv.layers.base import Invertible
from medinv.layers.integer import straight_through


class LeGall53(Invertible):
    """One level of the reversible LeGall 5/3 wavelet of JPEG 2000 part 1, (N, C, H, W) -> (N, 4C,
    H/2, W/2). Bit-exact on integers.

    Along columns, then along rows, with n = 0 ... half the length - 1 and symmetric extension at
    both ends:

        d[n] = x[2n + 1] - floor((x[2n] + x[2n + 2]) / 2)
        s[n] = x[2n] + floor((d[n - 1] + d[n] + 2) / 4)

    The C averages come first, then the details along W, along H and along both. Takes integer
    tensors (int16 or wider, with two bits to spare) and floating ones; there integers return bit
    for bit up to 2^22 in size in float32 and 2^51 in float64, and other values to rounding.
    `log_det` is 0: each step is a shear. Gradients are those of the same wavelet without its floors
    (straight-through). Source: Le Gall and Tabatabai 1988; Calderbank et al. 1998; ITU-T T.800
    annex F. Raises ShapeError on other shapes or on odd sizes.
    """

    bit_exact = True

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        _check(x, "LeGall53", 2, 1)
        low, high = _analyse(x, 2)
        return torch.cat([*_analyse(low, 3), *_analyse(high, 3)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        _check(y, "LeGall53.inverse", 1, 4)
        low_low, low_high, high_low, high_high = y.chunk(4, 1)
        return _synthesise(
            _synthesise(low_low, low_high, 3), _synthesise(high_low, high_high, 3), 2
        )

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return x.new_zeros(
            x.shape[0], dtype=x.dtype if x.is_floating_point() else torch.get_default_dtype()
        )


class IntegerHaar(Invertible):
    """One level of the S-transform, the Haar wavelet on integers, (N, C, H, W) -> (N, 4C, H/2,
    W/2). Bit-exact on integers.

    Along columns, then along rows, of each pair a, b:

        d = a - b
        s = floor((a + b) / 2) along columns, floor((a + b + 1) / 2) along rows

    so that roundings do not add up.

    After k levels the averages are those of blocks of 2^k x 2^k, each to within rounding, where
    LeGall53's are centred on the block's first pixel. Order of channels, types, `log_det`,
    gradients and errors are as in LeGall53. Source: Heer and Reinfelder 1990; Said and Pearlman
    1996; Calderbank et al. 1998.
    """

    bit_exact = True

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        _check(x, "IntegerHaar", 2, 1)
        low, high = _pairs(x, 2, 0)
        return torch.cat([*_pairs(low, 3, 1), *_pairs(high, 3, 1)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        _check(y, "IntegerHaar.inverse", 1, 4)
        low_low, low_high, high_low, high_high = y.chunk(4, 1)
        return _unpaired(
            _unpaired(low_low, low_high, 3, 1), _unpaired(high_low, high_high, 3, 1), 2, 0
        )

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return x.new_zeros(
            x.shape[0], dtype=x.dtype if x.is_floating_point() else torch.get_default_dtype()
        )


def _pairs(x: Tensor, axis: int, up: int) -> tuple[Tensor, Tensor]:
    """Averages, rounded down or (`up` = 1) up, and differences of neighbours."""
    first, second = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    details = first - second
    return second + _floor_divide(details + up, 2), details


def _unpaired(averages: Tensor, details: Tensor, axis: int, up: int) -> Tensor:
    second = averages - _floor_divide(details + up, 2)
    return torch.stack([details + second, second], axis + 1).flatten(axis, axis + 1)


def _analyse(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Averages and details along an axis, each half as long."""
    even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    details = odd - _floor_divide(even + _next(even, axis), 2)
    return even + _floor_divide(_previous(details, axis) + details + 2, 4), details


def _synthesise(averages: Tensor, details: Tensor, axis: int) -> Tensor:
    even = averages - _floor_divide(_previous(details, axis) + details + 2, 4)
    odd = details + _floor_divide(even + _next(even, axis), 2)
    return torch.stack([even, odd], axis + 1).flatten(axis, axis + 1)


def _next(x: Tensor, axis: int) -> Tensor:
    """x[n + 1], the last repeated: symmetric extension of the even samples."""
    return torch.cat(
        [x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, x.shape[axis] - 1, 1)], axis
    )


def _previous(x: Tensor, axis: int) -> Tensor:
    """x[n - 1], the first repeated: symmetric extension of the odd samples."""
    return torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], axis)


def _floor_divide(x: Tensor, divisor: int) -> Tensor:
    if not x.is_floating_point():
        return (
            x >> divisor.bit_length() - 1
        )  # the divisors are powers of two; 30 times as quick as torch's floor division
    return straight_through(x / divisor, torch.floor)


def _check(x: Tensor, layer: str, multiple_of: int, channels_multiple_of: int) -> None:
    if (
        x.ndim != 4
        or x.shape[1] % channels_multiple_of
        or any(n == 0 or n % multiple_of for n in x.shape[2:])
    ):
        wanted = (
            f"(N, C, H, W) with C divisible by {channels_multiple_of} and H and W by {multiple_of}"
        )
        raise ShapeError(f"{layer} expects images of shape {wanted}; got {tuple(x.shape)}")
    if x.is_complex() or x.dtype in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.float16,
        torch.bfloat16,
    ):
        raise ShapeError(
            f"{layer} expects float32, float64 or integers of 16 bits and more, since details are"
            f" signed and wider; got {x.dtype}"
        )
