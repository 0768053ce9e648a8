"""What a convolution sees beyond the edge, and the convolution as a linear map."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError, ShapeError
from medinv.layers.linalg.wrap import folded, wrapped

Padding = Literal["circular", "zeros", "reflect", "replicate"]
PADDINGS: tuple[str, ...] = get_args(Padding)


def at(places: Iterable[int | slice]) -> Any:
    """The index of `places` in the last axes."""
    return (..., *places)


def check_padding(padding: str) -> None:
    """Raise ConfigError unless `padding` is one of those that torch names."""
    if padding not in PADDINGS:
        raise ConfigError(f"padding is one of {', '.join(PADDINGS)}; got {padding!r}")


def effective(kernel: Sequence[int], padding: str) -> str:
    """`padding`, or circular for a kernel of one pixel, which never reads beyond the edge."""
    return "circular" if all(side == 1 for side in kernel) else padding


def check_size(size: Sequence[int], kernel: Sequence[int], padding: str, layer: str) -> None:
    """Raise ShapeError where torch could not pad images of `size` for a kernel: circular wraps at
    most once, reflection needs one more pixel.
    """
    least = [side // 2 + (1 if padding == "reflect" else 0) for side in kernel]
    if any(n < max(1, m) for n, m in zip(size, least, strict=True)):
        what = f"{layer} with a kernel of {tuple(kernel)} and {padding} padding"
        raise ShapeError(f"{what} expects images of at least {tuple(least)}; got {tuple(size)}")


def linear(
    x: Tensor, weight: Tensor, padding: str, groups: int = 1, bias: Tensor | None = None
) -> Tensor:
    """`w * x + b` on images (N, C, *size) of the same size out, by the framework's own convolution
    (the cross-correlation of deep learning).
    """
    sides = weight.shape[2:]
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(sides) - 1]
    if padding == "zeros" or all(side == 1 for side in sides):
        return conv(x, weight, bias, padding=[side // 2 for side in sides], groups=groups)
    return conv(padded(x, [side // 2 for side in sides], padding), weight, bias, groups=groups)


def padded(x: Tensor, margins: Sequence[int], padding: str) -> Tensor:
    """`F.pad`; wrapping by our own, whose derivative copies less."""
    if padding != "circular":
        mode = "constant" if padding == "zeros" else padding
        return F.pad(x, [margin for margin in reversed(margins) for _ in range(2)], mode=mode)
    return wrapped(x, margins)


def linear_transposed(y: Tensor, weight: Tensor, padding: str, groups: int = 1) -> Tensor:
    """The transpose of `linear` without bias, differentiable."""
    sides = weight.shape[2:]
    margins = [side // 2 for side in sides]
    conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(sides) - 1]
    if padding == "zeros" or all(side == 1 for side in sides):
        return conv(y, weight, padding=margins, groups=groups)
    wide = conv(y, weight, groups=groups)
    if padding == "circular":
        return folded(wide, margins)
    for axis, margin in enumerate(margins, start=2):
        wide = _folded(wide, axis, margin, padding)
    return wide


def _folded(wide: Tensor, axis: int, margin: int, padding: str) -> Tensor:
    """The transpose of padding along an axis: what was read beyond the edge goes back."""
    size = wide.shape[axis] - 2 * margin
    outside = torch.cat([torch.arange(-margin, 0), torch.arange(size, size + margin)])
    inner = wide.narrow(axis, margin, size)
    beyond = torch.cat(
        [wide.narrow(axis, 0, margin), wide.narrow(axis, size + margin, margin)], axis
    )
    return inner.index_add(axis, source(outside, size, padding).to(wide.device), beyond)


def source(position: Tensor, size: int, padding: str) -> Tensor:
    """Where torch takes the value at `position` (long, from -margin to size + margin - 1) from,
    under circular, reflect or replicate padding.
    """
    if padding == "reflect":
        position = position.abs()
        return torch.where(position < size, position, 2 * (size - 1) - position)
    return position.clamp(0, size - 1) if padding == "replicate" else position.remainder(size)


def matrix(weight: Tensor, size: Sequence[int], padding: str, groups: int = 1) -> Tensor:
    """The convolution without bias as a dense matrix, images flattened in (C, *size) order.
    Differentiable; for small images.
    """
    order = weight.shape[0] * torch.Size(size).numel()
    unit = torch.eye(order, dtype=weight.dtype, device=weight.device).reshape(
        order, weight.shape[0], *size
    )
    return linear(unit, weight, padding, groups).reshape(order, order).T
