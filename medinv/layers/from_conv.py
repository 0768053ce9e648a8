"""A trained ordinary convolution, made to run backwards."""

from collections.abc import Sequence

import torch
from torch import nn

from medinv.errors import ConfigError
from medinv.layers.conv import InvertibleConv2d, InvertibleConv3d
from medinv.layers.linalg import spectrum
from medinv.layers.linalg.padding import check_size


def from_conv(
    conv: nn.Conv2d | nn.Conv3d, size: Sequence[int] | None = None, *, share: bool = False
) -> InvertibleConv2d | InvertibleConv3d:
    """The invertible layer that computes what `conv` computes, with its weights copied, or shared
    so that training either trains both.

    `size` is the image size on which the inverse is proven to exist before the layer is returned;
    without it the first `inverse` is the proof. A convolution can be invertible on one size and
    singular on another.

    Raises ConfigError, naming the property, for a convolution that cannot be a bijection of images
    (stride, dilation, a change of channels or size) or a kernel other than 1, 3 or 5;
    SingularError, naming the lost waves or images, if it is singular on `size`.
    """
    if not isinstance(conv, nn.Conv2d | nn.Conv3d):
        raise ConfigError(
            f"from_conv expects a torch.nn.Conv2d or Conv3d; got {type(conv).__name__}"
        )
    _check(conv)
    kind = InvertibleConv2d if isinstance(conv, nn.Conv2d) else InvertibleConv3d
    layer = kind(
        conv.in_channels,
        conv.kernel_size[0],
        bias=conv.bias is not None,
        padding=conv.padding_mode,
        groups=conv.groups,
    )
    layer.to(conv.weight.device, conv.weight.dtype)
    if share:
        layer.weight = conv.weight  # type: ignore[assignment]
        layer.bias = conv.bias  # type: ignore[assignment]
    else:
        with torch.no_grad():
            for mine, theirs in zip(layer.parameters(), conv.parameters(), strict=True):
                mine.copy_(theirs)
    if size is not None:
        check_size(size, conv.kernel_size, conv.padding_mode, "from_conv")
        spectrum.check_invertible(conv.weight, size, conv.padding_mode, conv.groups)
    return layer


def _check(conv: nn.Conv2d | nn.Conv3d) -> None:
    same = tuple(side // 2 for side in conv.kernel_size)
    named = {"same": same, "valid": (0,) * len(same)}
    padding = named[conv.padding] if isinstance(conv.padding, str) else tuple(conv.padding)
    reach = tuple(d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    kept = conv.padding == "same" or tuple(2 * p for p in padding) == reach
    bijective = {
        "in_channels equal to out_channels": conv.in_channels == conv.out_channels,
        "stride 1": set(conv.stride) == {1},
        f"padding {tuple(r // 2 for r in reach)}": kept,
    }
    _refuse(conv, bijective, "it does not map images one to one")
    supported = {
        "dilation 1": set(conv.dilation) == {1},
        "equal sides of 1, 3 or 5": set(conv.kernel_size) <= {conv.kernel_size[0]} & {1, 3, 5},
    }
    _refuse(conv, supported, "it may map images one to one, but its inverse is not supported")


def _refuse(conv: nn.Module, wanted: dict[str, bool], why: str) -> None:
    missing = [name for name, holds in wanted.items() if not holds]
    if missing:
        raise ConfigError(f"from_conv expects {' and '.join(missing)}; got {conv}: {why}")
