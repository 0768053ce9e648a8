"""Activations and their inverses far from zero and near it, and the bounds on their slopes."""

import pytest
import torch

from medinv.errors import ConfigError
from medinv.layers import AsinhActivation, Inverse, LeakyReLU, SmoothLeakyReLU, SoftLeakyReLU

ACTIVATIONS = [LeakyReLU, SmoothLeakyReLU, SoftLeakyReLU, AsinhActivation]


@pytest.mark.parametrize("slope", [0.01, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_inverse_is_right_to_rounding_from_tiny_to_huge(activation, slope) -> None:
    magnitudes = torch.logspace(-18, 18, 2001, dtype=torch.float64)
    x = torch.cat([-magnitudes.flip(0), torch.zeros(1, dtype=torch.float64), magnitudes])[None]
    layer = activation(slope)
    error = (layer.inverse(layer(x)) - x).abs()
    absolute = (
        1e-15 / slope if activation is SoftLeakyReLU else 0.0
    )  # log(1 + exp x) - log 2 cancels near 0
    assert (error <= absolute + 2e-15 / slope * x.abs()).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_stay_within_the_bounds_and_are_those_of_the_function(activation) -> None:
    layer = activation(0.2)
    x = torch.linspace(-40, 40, 4000, dtype=torch.float64)[None].requires_grad_()
    (slopes,) = torch.autograd.grad(layer(x).sum(), x)
    assert torch.allclose(slopes, layer.derivative(x), atol=1e-12)
    assert slopes.min() >= 0.2 - 1e-12 and slopes.max() <= 1 + 1e-12
    assert layer(torch.zeros(1, 1)).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_inverse_can_be_trained_through(activation) -> None:
    y = torch.randn(
        1, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    assert torch.autograd.gradcheck(Inverse(activation(0.4)), (y,), atol=1e-7)


def test_newton_settles_on_values_that_are_not_numbers() -> None:
    y = torch.tensor([[float("nan"), float("inf"), 1.0]], dtype=torch.float64)
    x = SoftLeakyReLU(0.5).inverse(y)
    assert x[0, 0].isnan() and SoftLeakyReLU(0.5)(x)[0, 2].item() == pytest.approx(1.0)


@pytest.mark.parametrize("slope", [0.0, -1.0, 1.5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_slope_that_loses_or_amplifies_is_refused(activation, slope) -> None:
    with pytest.raises(ConfigError, match="slope"):
        activation(slope)
