"""Kernels held accretive keep every singular value of their zero-padded operator above the bound.

This includes the edges.
"""

import pytest
import torch
from torch import Tensor, nn

from medinv.config import load_config
from medinv.errors import ConfigError
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.models.penalty import FREQUENCIES, Accretive, _angles, _symbols, rotations

BOUND = 0.4


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def conv(request) -> InvertibleConv2d | InvertibleConv3d:
    torch.manual_seed(0)
    layer = (InvertibleConv2d if request.param == 2 else InvertibleConv3d)(
        5, padding="zeros"
    ).double()
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight), alpha=0.3 if request.param == 2 else 0.15)
    return layer


def smallest_singular_value(conv: nn.Module, side: int) -> float:
    """Of the dense matrix on images of that side."""
    shape = (conv.channels, *[side] * (conv.weight.ndim - 2))
    count = torch.Size(shape).numel()
    with torch.no_grad():
        images = conv(torch.eye(count, dtype=torch.double).reshape(count, *shape)) - conv(
            torch.zeros(1, *shape, dtype=torch.double)
        )
    return torch.linalg.svdvals(images.flatten(1))[-1].item()


def test_steps_lift_what_zero_padding_loses(conv) -> None:
    side = 6 if conv.weight.ndim == 4 else 4
    assert smallest_singular_value(conv, side) < BOUND / 2
    accretive = Accretive(nn.Sequential(conv), BOUND)
    for number in range(1000):
        accretive.step(number, 0.01)
    assert smallest_singular_value(conv, side) > 0.95 * BOUND
    settled = conv.weight.detach().clone()
    for number in range(20):
        accretive.step(number, 0.01)
    assert (conv.weight - settled).abs().max() < 1e-2  # a kernel within the bound is left alone


def test_the_slope_is_that_of_what_the_eigenvalues_lack(conv) -> None:
    def lack(weight: Tensor) -> Tensor:
        part = turn[0].mT.to(torch.complex128) @ torch.complex(*_symbols(weight, angles))
        return (
            torch.relu(BOUND - torch.linalg.eigvalsh((part + part.mH) / 2)).square().sum(1).mean()
        )

    turn = rotations(conv.weight.detach()[None])
    torch.manual_seed(7)
    angles = _angles(conv.weight, FREQUENCIES)
    (expected,) = torch.autograd.grad(lack(conv.weight), conv.weight)
    torch.manual_seed(7)
    found = Accretive(nn.Sequential(conv), BOUND)._slopes(conv.weight.detach()[None], turn)[0]
    assert expected.abs().max() > 0.1 and torch.allclose(found, expected, atol=1e-12)


def test_a_bound_without_a_rate_is_refused(configs) -> None:
    with pytest.raises(ConfigError, match="no effect without a rate"):
        load_config(configs / "cifar10.yaml", ("train.orthogonality=0",))
