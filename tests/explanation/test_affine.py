"""Every layer with frozen gates: equal to the layer at its image, and affine everywhere."""

import pytest
import torch
from torch import nn

from medinv.explanation.affine import freeze
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    AsinhActivation,
    ChannelFlip,
    Haar,
    InvertibleConv2d,
    LeakyReLU,
    SmoothLeakyReLU,
    SoftLeakyReLU,
    Squeeze,
)


def filled(layer: nn.Module) -> nn.Module:
    """With weights that do something."""
    generator = torch.Generator().manual_seed(1)
    for weights in layer.parameters():
        noise = torch.randn(weights.shape, generator=generator)
        weights.data += (0.1 * noise).to(weights)
    return layer.double().eval()


def layers() -> list[nn.Module]:
    torch.manual_seed(0)
    made = [
        ActNorm(4), AdditiveCoupling(4, 8), AffineCoupling(4, 8), AsinhActivation(), ChannelFlip(),
        Haar(), InvertibleConv2d(4), LeakyReLU(0.3), SmoothLeakyReLU(), SoftLeakyReLU(), Squeeze(),
        nn.ReLU(),
    ]  # fmt: skip
    return [filled(layer) for layer in made]


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_frozen_it_is_the_layer_at_its_image_and_affine_elsewhere(layer) -> None:
    generator = torch.Generator().manual_seed(2)
    x, u, v = (2 * torch.randn(2, 4, 8, 8, generator=generator).double() for _ in range(3))
    x[0, 0, 0, :3] = torch.tensor([0.0, 1e-12, -1e-12])
    with torch.no_grad():
        frozen = freeze(layer, x)
        assert torch.allclose(frozen(x), layer(x), rtol=0, atol=1e-9)
        between = 0.3 * frozen(u) + 0.7 * frozen(v)
        assert torch.allclose(frozen(0.3 * u + 0.7 * v), between, rtol=0, atol=1e-9)
