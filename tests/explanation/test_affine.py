"""Every layer with frozen gates: equal to the layer at its image, or at two, and affine
everywhere.
"""

from copy import deepcopy

import pytest
import torch
from torch import nn

import medinv.explanation.ordinary  # noqa: F401  its layers are made known
from medinv.errors import ConfigError
from medinv.explanation.affine import freeze
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    AsinhActivation,
    Chain,
    ChannelFlip,
    Haar,
    InvertibleConv2d,
    LeakyReLU,
    Multiscale,
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


def nested() -> nn.Module:
    """Levels within levels, as trunks are: a coupling at the end mixes what came before."""
    torch.manual_seed(1)
    fine = Chain(Haar(), ActNorm(16), AffineCoupling(16, 8))
    coarse = Chain(Haar(), InvertibleConv2d(24), AffineCoupling(24, 8))
    return filled(Multiscale([fine, coarse], keep=[6]))


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


@pytest.mark.parametrize("layer", [*layers(), nested()], ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_between_two_images_it_is_the_layer_at_both_and_affine_elsewhere(layer, dtype) -> None:
    """Pixels on either side of a kink, on it, and as good as the same among them."""
    layer = deepcopy(layer).to(dtype)
    generator = torch.Generator().manual_seed(2)
    x, ground, u, v = (2 * torch.randn(2, 4, 8, 8, generator=generator).to(dtype) for _ in range(4))
    near = torch.tensor([0.0, 1e-12, 1e-7, 1e-5, 1e-4, 1e-3, 0.01], dtype=dtype)
    ground[0, :, 0, :7] = x[0, :, 0, :7] + near
    x[1, :, 0, :7], ground[1, :, 0, :7] = near / 2, -near / 2
    exact = 1e-9 if dtype == torch.float64 else 3e-5
    with torch.no_grad():
        between = freeze(layer, x, ground)
        assert torch.allclose(between(x), layer(x), rtol=exact, atol=exact)
        assert torch.allclose(between(ground), layer(ground), rtol=exact, atol=exact)
        mixed = 0.3 * between(u) + 0.7 * between(v)
        assert torch.allclose(between(0.3 * u + 0.7 * v), mixed, rtol=exact, atol=10 * exact)


def test_without_a_ground_gates_that_are_zero_at_the_origin_go_through_it() -> None:
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    for layer in (AsinhActivation(), LeakyReLU(0.3), nn.ReLU()):
        with torch.no_grad():
            alone, through = freeze(layer, x), freeze(layer, x, torch.zeros_like(x))
        assert torch.allclose(alone(x + 1), through(x + 1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.GroupNorm(2, 4)], ids=str)
def test_a_layer_without_a_form_between_images_is_refused(layer) -> None:
    x = torch.randn(1, 4, 8, 8)
    with pytest.raises(ConfigError, match=f"between two images.*{type(layer).__name__}"):
        freeze(layer, x, 0 * x)
