"""The equivariant convolution turns with the image, both ways, whatever its padding and weights."""

import pytest
import torch

from medinv.errors import ConfigError
from medinv.layers import C4Conv2d, C4Squeeze, Chain, InvertibleConv2d, LeakyReLU, Squeeze
from medinv.layers.equivariant import quarter_turn


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect", "replicate"])
def test_a_quarter_turn_before_is_a_quarter_turn_after(padding, kernel_size, turns) -> None:
    torch.manual_seed(0)
    layer = C4Conv2d(3, kernel_size, bias=True, padding=padding).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    x = torch.randn(2, 12, 7, 7, dtype=torch.float64)

    def turned(v: torch.Tensor) -> torch.Tensor:
        for _ in range(turns):
            v = quarter_turn(v)
        return v

    assert torch.allclose(layer(turned(x)), turned(layer(x)), atol=1e-13)
    assert torch.allclose(layer.inverse(turned(x)), turned(layer.inverse(x)), atol=1e-12)
    assert torch.allclose(layer.log_det(turned(x)), layer.log_det(x))
    assert torch.allclose(layer.inverse(layer(x)), x, atol=1e-12)


def test_an_untied_kernel_does_not_turn_with_the_image() -> None:
    torch.manual_seed(0)
    layer, x = InvertibleConv2d(4).double(), torch.randn(1, 4, 6, 6, dtype=torch.float64)
    assert not torch.allclose(layer(quarter_turn(x)), quarter_turn(layer(x)), atol=1e-3)


def test_four_quarter_turns_change_nothing_and_weights_are_a_quarter() -> None:
    x = torch.randn(1, 8, 5, 5)
    turned = x
    for _ in range(4):
        turned = quarter_turn(turned)
    assert torch.equal(turned, x) and not torch.equal(quarter_turn(x), x)
    assert 4 * C4Conv2d(2).weight.numel() == InvertibleConv2d(8).weight.numel()


def test_no_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="fields"):
        C4Conv2d(0)
    with pytest.raises(ConfigError, match="fields"):
        C4Squeeze(-1)


def test_blocks_of_four_pixels_turn_as_fields_do() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    lifted = C4Squeeze()(x)
    assert torch.equal(C4Squeeze()(torch.rot90(x, 1, (2, 3))), quarter_turn(lifted))
    assert not torch.equal(Squeeze()(torch.rot90(x, 1, (2, 3))), quarter_turn(Squeeze()(x)))
    assert torch.equal(C4Squeeze(3)(quarter_turn(lifted)), quarter_turn(C4Squeeze(3)(lifted)))


def test_a_whole_trunk_turns_with_the_image_and_runs_backwards() -> None:
    torch.manual_seed(0)
    trunk = Chain(
        C4Squeeze(), C4Conv2d(1), LeakyReLU(0.5), C4Squeeze(1), C4Conv2d(4), LeakyReLU(0.5)
    ).double()
    x = torch.randn(2, 1, 12, 12, dtype=torch.float64)
    assert torch.allclose(trunk(torch.rot90(x, 1, (2, 3))), quarter_turn(trunk(x)), atol=1e-12)
    assert torch.allclose(trunk.inverse(trunk(x)), x, atol=1e-12)
