"""A condition number that no training can exceed, whatever the image size.

    w = s Q (delta + E),    Q orthogonal across channels,

with |E| <= r = (limit - 1) / (limit + 1) as an operator,

has every singular value in s [1 - r, 1 + r], hence a condition number of at most `limit`. E is a
free kernel divided by a bound of its norm where that exceeds r. The bound is Delattre et al.'s Gram
iteration (ICML 2023, 2305.16173) on a grid of frequencies, times the factor of `bounds`, so that it
holds for every size. With zero padding I + E becomes a diagonal block of itself and the same
interval holds; for reflect and replicate r is divided by the norm of the padding. Layers
1-Lipschitz by rescaling (AOL, Prach and Lampert, ECCV 2022, 2208.03160) and i-ResNets (Behrmann et
al., ICML 2019, 1811.00995) are made in the same spirit. A kernel far from a rotation of channels,
such as a shift, is out of reach: that is the price.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from medinv.errors import ConfigError
from medinv.layers.conv import InvertibleConv2d, InvertibleConv3d
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols

GRAM_STEPS = 3  # leave the bound at most C^(1/16) too large, 1.3 for 64 channels
GRID = 12  # samples a side and tap: 1.07 too large in two dimensions


def bound_condition(
    layer: InvertibleConv2d | InvertibleConv3d, limit: float
) -> InvertibleConv2d | InvertibleConv3d:
    """Reparametrise `layer.weight` in place so that its condition number stays at most `limit`
    through any training; returns the layer.

    The bound holds for every image size with circular and zero padding, and with reflect and
    replicate for images larger than the kernel; to the rounding of the weights' type. Weights
    within reach stay as they are, others are drawn in. Each use of `layer.weight` computes the map
    anew: use `torch.nn.utils.parametrize.cached()` around a step, and
    `remove_parametrizations(layer, "weight")` after training, which leaves a plain weight. Raises
    ConfigError unless `limit` > 1.
    """
    if not limit > 1:
        raise ConfigError(f"bound_condition expects a limit over 1; got {limit}")
    parametrize.register_parametrization(
        layer, "weight", NearIsometry(layer.weight.detach(), limit, layer.padding, layer.groups)
    )
    return layer


class NearIsometry(nn.Module):
    """(E before its rescaling, skew-symmetric part of the rotation, log s) -> weight (C, C /
    groups, *k), as above. Differentiable.
    """

    rotation: Tensor

    def __init__(self, weight: Tensor, limit: float, padding: str, groups: int):
        super().__init__()
        self.groups, self.limit = groups, limit
        margins = [side // 2 for side in weight.shape[2:]]
        repeats = (
            {"reflect": 2, "replicate": 1 + max(margins)}.get(padding, 1) if max(margins) else 1
        )  # how often padding can show one pixel, a side
        self.radius = (limit - 1) / (limit + 1) / math.sqrt(repeats ** len(margins))
        self.register_buffer(
            "rotation",
            torch.zeros(
                groups, weight.shape[1], weight.shape[1], dtype=weight.dtype, device=weight.device
            ),
        )

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"limit={self.limit}"

    def forward(self, free: Tensor, skew: Tensor, log_scale: Tensor) -> Tensor:
        """y."""
        departure = free * (self.radius / norm_bound(free, self.groups).clamp_min(self.radius))
        rotation = self.rotation @ torch.matrix_exp(skew - skew.mT)
        return log_scale.exp() * self._rotated(rotation, departure + self._delta(free))

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parameters of a weight; exact if it is within reach."""
        centre = symbols.by_groups(weight, self.groups)[
            pads.at([side // 2 for side in weight.shape[2:]])
        ]
        u, values, v = torch.linalg.svd(centre)
        self.rotation.copy_(u @ v)
        scale = values.mean().clamp_min(torch.finfo(weight.dtype).eps)
        free = self._rotated(self.rotation.mT, weight) / scale - self._delta(weight)
        return free, torch.zeros_like(self.rotation), scale.log()

    def _rotated(self, rotation: Tensor, kernel: Tensor) -> Tensor:
        return torch.einsum(
            "gab,gb...->ga...", rotation, symbols.by_groups(kernel, self.groups)
        ).reshape(kernel.shape)

    def _delta(self, like: Tensor) -> Tensor:
        delta = torch.zeros_like(like)
        delta[pads.at([side // 2 for side in like.shape[2:]])] = torch.eye(
            like.shape[1], dtype=like.dtype, device=like.device
        ).repeat(self.groups, 1)
        return delta


def norm_bound(weight: Tensor, groups: int = 1) -> Tensor:
    """A differentiable upper bound of the norm of the convolution on images of any size, a scalar.

    With G_0 = S^H S and G_(i+1) = G_i^H G_i, |S| <= |G_p|_F^(1 / 2^(p + 1)) at each frequency, each
    G scaled to unit norm to stay in range.
    """
    sides = [max(1, GRID * (side // 2)) for side in weight.shape[2:]]
    matrices = symbols.symbol(weight, sides, groups)
    log_bound, share = weight.new_zeros(()), 1.0
    for _ in range(GRAM_STEPS + 1):
        matrices = matrices.mH @ matrices
        share /= 2
        size = torch.linalg.vector_norm(matrices, dim=(-2, -1)).clamp_min(
            torch.finfo(weight.dtype).tiny
        )
        log_bound = log_bound + share * size.log()
        matrices = matrices / size[..., None, None]
    shrink = math.prod(
        math.cos(side // 2 * math.pi / n) for side, n in zip(weight.shape[2:], sides, strict=True)
    )
    return log_bound.exp().max() / shrink
