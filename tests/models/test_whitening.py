"""Channels come out uncorrelated, and images come back."""

import pytest
import torch

from medinv.config import load_config
from medinv.errors import SingularError
from medinv.explanation.evidence import evidence
from medinv.models.build import build
from medinv.models.whitening import Whitening


def correlated(count: int = 200) -> torch.Tensor:
    torch.manual_seed(0)
    mixing = torch.randn(6, 6, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mixing, torch.randn(count, 6, 4, 4).double())


def test_channels_are_uncorrelated_and_of_variance_one() -> None:
    x = correlated()
    y = Whitening(6).double().initialise(x)
    covariance = torch.cov(y.transpose(0, 1).flatten(1))
    assert (covariance - torch.eye(6)).abs().max() < 0.05


def test_what_it_says_of_itself_is_what_its_matrix_is() -> None:
    layer = Whitening(6).double()
    x = correlated()[:2]
    y = layer.initialise(correlated())[:2]
    assert (layer.inverse(y) - x).abs().max() < 1e-12
    values = torch.linalg.svdvals(layer.weight)
    assert torch.allclose(layer.log_det(x), 16 * values.log().sum().expand(2))
    assert torch.allclose(layer.condition_number(x), (values[0] / values[-1]).expand(2))
    assert torch.allclose(layer.inverse_norm(x), (1 / values[-1]).expand(2))


def test_a_whitened_network_is_explained_exactly(configs) -> None:
    overrides = ("model.depths=[1,1]", "model.hidden=[24,32]", "data.size=16")
    torch.manual_seed(0)
    network = build(load_config(configs / "cifar10.yaml", overrides)).double().eval()
    image = 255 * torch.rand(1, 3, 16, 16, dtype=torch.float64)
    (layer,) = (one for one in network.trunk.layers if isinstance(one, Whitening))
    layer.initialise(network.trunk.layers[1](network.trunk.layers[0](image)))
    found = evidence(network, image)
    assert found.residual < 1e-9
    assert found.contributions.sum() + found.bias == pytest.approx(found.logit, abs=1e-9)


def test_a_lost_channel_is_refused() -> None:
    layer = Whitening(2)
    layer.weight.zero_()
    with pytest.raises(SingularError, match="lost"):
        layer.inverse(torch.zeros(1, 2, 2, 2))
