"""A bound of the condition number that holds while training tries to break it."""

import pytest
import torch
from torch.nn.utils import parametrize

from medinv.errors import ConfigError
from medinv.layers import (
    InvertibleConv2d,
    InvertibleConv3d,
    bound_condition,
    spectrum_bounds,
)
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.spectrum import extreme_singular_values
from medinv.layers.parametrize import norm_bound

LIMIT = 4.0


def _attacked(layer, steps: int = 60):
    """Trained to be a blur, which is singular: after each step the layer is yielded."""
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    size = (6,) * layer._sides
    for _ in range(steps):
        x = torch.randn(4, layer.channels, *size, dtype=torch.float64)
        optimiser.zero_grad()
        axes = tuple(range(2, x.ndim))
        (layer(x) - 3 * x.mean((1, *axes), keepdim=True)).square().mean().mul(20).backward()
        optimiser.step()
        yield layer


@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect", "replicate"])
@pytest.mark.parametrize("kernel_size, groups", [(3, 1), (5, 2), (3, 4), (1, 1)])
def test_training_towards_a_singular_operator_stops_at_the_limit(
    padding, kernel_size, groups
) -> None:
    torch.manual_seed(0)
    layer = bound_condition(
        InvertibleConv2d(4, kernel_size, padding=padding, groups=groups).double(), LIMIT
    )
    free = InvertibleConv2d(4, kernel_size, padding=padding, groups=groups).double()
    worst = 0.0
    for step, trained in enumerate(_attacked(layer)):
        if step % 20 == 19:
            largest, smallest = extreme_singular_values(trained.weight, (7, 6), padding, groups)
            worst = max(worst, largest / smallest)
            assert (
                padding != "circular"
                or spectrum_bounds(trained.weight, groups).condition < LIMIT * 1.06
            )
    *_, unbound = _attacked(free)
    largest, smallest = extreme_singular_values(unbound.weight, (7, 6), padding, groups)
    assert worst <= LIMIT * (1 + 1e-9) < largest / smallest
    if padding == "circular" and groups < 4 and kernel_size > 1:
        assert worst > 0.5 * LIMIT  # the limit is used, not just kept


def test_volumes_too() -> None:
    torch.manual_seed(0)
    layer = bound_condition(InvertibleConv3d(2, padding="zeros").double(), LIMIT)
    *_, trained = _attacked(layer, 20)
    largest, smallest = extreme_singular_values(trained.weight, (4, 5, 3), "zeros")
    assert largest / smallest <= LIMIT


def test_weights_within_reach_stay_as_they_are_and_survive_a_save() -> None:
    torch.manual_seed(0)
    layer = InvertibleConv2d(5, bias=True).double()
    before = layer.weight.detach().clone()
    bound_condition(layer, LIMIT)
    assert torch.allclose(layer.weight, before, atol=1e-14)
    *_, layer = _attacked(layer, 5)
    other = bound_condition(InvertibleConv2d(5, bias=True).double(), LIMIT)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    assert torch.equal(other.weight, layer.weight) and torch.allclose(
        other.inverse(layer(x)), x, atol=1e-12
    )
    parametrize.remove_parametrizations(layer, "weight")
    assert set(layer.state_dict()) == {"weight", "bias"} and torch.equal(layer.weight, other.weight)


def test_gradients_pass_the_rescaling() -> None:
    torch.manual_seed(0)
    layer = bound_condition(InvertibleConv2d(3).double(), 1.5)
    maps = layer.parametrizations.weight
    originals = [
        maps.original0.detach() + 0.3 * torch.randn(3, 3, 3, 3).double(),
        torch.randn(1, 3, 3).double(),
        torch.tensor(0.2).double(),
    ]
    assert torch.autograd.gradcheck(maps[0], [v.requires_grad_() for v in originals], atol=1e-6)


@pytest.mark.parametrize("channels, groups", [(1, 1), (6, 1), (6, 3)])
def test_the_norm_bound_is_above_the_norm_and_near_it(channels, groups) -> None:
    weight = torch.randn(
        channels,
        channels // groups,
        3,
        3,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    largest = max(
        symbols.singular_values(weight, (n, n + 1), groups).max().item() for n in range(1, 40)
    )
    assert largest <= norm_bound(weight, groups).item() <= 1.25 * largest


def test_a_limit_that_allows_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="over 1"):
        bound_condition(InvertibleConv2d(2), 1.0)
