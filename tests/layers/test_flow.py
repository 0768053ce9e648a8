"""Densities: shapes of torch.distributions, conditions, scales trained apart, samples that fit."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from medinv.errors import ConfigError, ShapeError
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ChannelFlip,
    ChannelPadding,
    ConditionalMultiscale,
    Flow,
    Haar,
    InvertibleConv2d,
    Multiscale,
    Reversible,
    StandardNormal,
    attention,
)


def _stirred(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def test_log_prob_is_that_of_the_change_of_variables() -> None:
    trunk = _stirred(Chain(ActNorm(2), InvertibleConv2d(2), AffineCoupling(2, 4))).double()
    flow = Flow(trunk, StandardNormal((2, 3, 3))).double()
    x = torch.randn(5, 2, 3, 3, dtype=torch.float64)
    for one, found in zip(x, flow.log_prob(x), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: trunk(v[None]).flatten(), one)
        log_det = torch.linalg.slogdet(jacobian.reshape(18, 18))[1]
        density = -0.5 * (trunk(one[None]).square().sum() + 18 * math.log(2 * math.pi))
        assert found.item() == pytest.approx((density + log_det).item(), abs=1e-9)


def test_shapes_are_those_of_torch_distributions() -> None:
    base = Independent(Normal(torch.zeros(4, 4, 4), 2 * torch.ones(4, 4, 4)), 3)
    flow = Flow(Chain(Haar(), InvertibleConv2d(4)), base)
    assert flow.event_shape == (1, 8, 8)
    assert flow.sample().shape == (1, 8, 8) and flow.sample((2, 3)).shape == (2, 3, 1, 8, 8)
    value = torch.randn(2, 3, 1, 8, 8)
    assert flow.log_prob(value).shape == (2, 3) and flow.log_prob(value[0, 0]).shape == ()
    assert torch.allclose(flow.log_prob(value)[1, 2], flow.log_prob(value[1, 2]), rtol=1e-5)
    assert not flow.sample().requires_grad
    flow.rsample((2,)).square().sum().backward()
    assert flow.trunk.layers[1].weight.grad.abs().sum() > 0


def test_a_fitted_flow_samples_what_it_was_fitted_to() -> None:
    torch.manual_seed(0)
    images = 3 + 0.5 * torch.randn(256, 1, 4, 4)
    flow = Flow(Chain(Haar(), ActNorm(4), AffineCoupling(4, 8)), StandardNormal((4, 2, 2)))
    flow.trunk.initialise(images)
    optimiser = torch.optim.Adam(flow.parameters(), lr=0.01)
    before = flow.log_prob(images).mean().item()
    for _ in range(30):
        optimiser.zero_grad()
        (-flow.log_prob(images).mean()).backward()
        optimiser.step()
    assert flow.log_prob(images).mean().item() > before
    drawn = flow.sample((512,))
    assert drawn.mean().item() == pytest.approx(3, abs=0.1)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", [AdditiveCoupling, AffineCoupling])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 6, 6), (3, 2, 3, 3), (3, 2, 12, 12)])
def test_a_condition_moves_and_comes_back(kind, shape) -> None:
    layer = _stirred(kind(4, 8, condition=2)).double()
    x, c = torch.randn(3, 4, 6, 6).double(), torch.randn(shape).double()
    y, log_det = layer.call_and_log_det(x, c)
    assert torch.allclose(layer.inverse(y, c), x) and torch.equal(log_det, layer.log_det(x, c))
    assert not torch.allclose(y, layer(x, c + 1), atol=1e-3)
    with pytest.raises(ShapeError, match="got none"):
        layer(x)
    with pytest.raises(ShapeError, match="condition"):
        layer(x, c[:, :1])


def test_a_condition_goes_through_chains_levels_and_flows() -> None:
    first = Chain(Haar(), AffineCoupling(4, 8, condition=1), ChannelFlip(), ActNorm(4))
    trunk = Multiscale([first, Chain(Haar(), AffineCoupling(8, 8, condition=1))], [2])
    flow = _stirred(Flow(trunk, StandardNormal((16, 2, 2)))).double()
    x, c = torch.randn(3, 1, 8, 8).double(), torch.randn(3, 1).double()
    trunk.initialise(x, c)
    assert torch.allclose(trunk.inverse(trunk(x, c), c), x)
    assert not torch.allclose(flow.log_prob(x, c), flow.log_prob(x, -c))
    assert flow.sample((3,), c).shape == (3, 1, 8, 8)
    with pytest.raises(ShapeError, match="one condition a value"):
        flow.log_prob(x, c[:2])


def test_each_scale_is_a_density_of_its_own_given_the_coarser_image() -> None:
    bands = [Chain(ActNorm(3), AffineCoupling(3, 8, condition=1)) for _ in range(3)]
    layer = _stirred(ConditionalMultiscale(1, bands, Chain(ActNorm(1)))).double()
    x = torch.randn(2, 1, 16, 16).double()
    z, log_det = layer.call_and_log_det(x)
    levels = [layer.level(i, x) for i in range(4)]
    assert torch.allclose(sum(part for _, part in levels), log_det)
    assert sum(part.numel() for part, _ in levels) == z.numel() == x.numel()
    assert torch.allclose(layer.inverse(z), x)
    other = torch.cat([z[:, :1] + 1, z[:, 1:]], 1)  # the coarse latent edited, the details kept
    means = [torch.nn.functional.avg_pool2d(v, 8) for v in (layer.inverse(other), x)]
    assert ((means[0] - means[1]).abs() > 1e-3).all()


def test_densities_at_128_pixels_are_trained_a_level_at_a_time() -> None:
    torch.manual_seed(0)
    bands = [Chain(AffineCoupling(3, 4, condition=1), ActNorm(3)) for _ in range(4)]
    layer, x = ConditionalMultiscale(1, bands), torch.rand(2, 1, 128, 128)
    layer.initialise(x)
    z, log_det = layer.level(0, x)
    (0.5 * z.square().flatten(1).sum(1) - log_det).mean().backward()
    assert bands[0].layers[1].bias.grad is not None and bands[1].layers[1].bias.grad is None


def test_attention_sees_the_whole_image_and_starts_silent() -> None:
    net = attention(16, 2, 1, patch=2)(2, 3)
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    assert not net(x).any()
    nn.init.normal_(net.last.weight)
    net(x)[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().sum(0) > 0).all()
    with pytest.raises(ShapeError, match="divisible by 2"):
        net(torch.randn(1, 2, 7, 8))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="widens"):
        Flow(Chain(ChannelPadding(1, 1)), StandardNormal((2, 4, 4)))
    with pytest.raises(ConfigError, match="Independent"):
        Flow(Chain(Haar()), Normal(0.0, 1.0))
    with pytest.raises(ShapeError, match="the trunk made"):
        Flow(Chain(Haar()), StandardNormal((4, 4, 4))).log_prob(torch.randn(1, 1, 4, 4))
    with pytest.raises(ConfigError, match="or a subnet"):
        AffineCoupling(4)
    with pytest.raises(ConfigError, match="without a condition"):
        Reversible(AffineCoupling(4, 4, condition=1))
