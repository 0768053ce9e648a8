"""Each lesson of the course is what its textbook says."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipelines.seeds.course.parts import (
    BatchNorm,
    Momentum,
    Pair,
    SelfAttention,
    attention,
    cosine,
    kaiming,
    shifted,
    xavier,
)


def _images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("start", "gate"), [(kaiming, F.relu), (xavier, lambda x: x)])
def test_the_second_moment_is_kept_through_thirty_layers(start, gate) -> None:
    """Of gates that the start was made for; with another it is lost or grows without bound."""
    torch.manual_seed(1)
    x, other = _images(200, 256), _images(200, 256)
    for _ in range(30):
        weight = start(torch.empty(256, 256, 1, 1))[:, :, 0, 0]
        x, other = gate(x @ weight.T), F.relu(other @ (weight / 2**0.5).T)
    assert 0.2 < x.square().mean().item() < 5  # a factor of 1.2 a layer would be 237
    if start is kaiming:
        assert other.square().mean().item() < 1e-6


def test_convolutions_count_their_field() -> None:
    torch.manual_seed(0)
    weight = torch.empty(64, 32, 3, 3)
    assert kaiming(weight).var().item() == pytest.approx(2 / (32 * 9), rel=0.05)
    assert xavier(weight).var().item() == pytest.approx(2 / (96 * 9), rel=0.05)


def test_batch_normalisation_is_that_of_torch() -> None:
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    for step in range(3):
        x = 2 * _images(4, 3, 5, 5) + step
        normal = ours(x)
        assert torch.allclose(normal, theirs(x), atol=1e-5)
    assert normal.mean((0, 2, 3)).abs().max() < 1e-5
    assert (normal.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-4
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_its_recurrence_and_that_of_torch(momentum) -> None:
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    mine, sgd = Momentum([ours], momentum), torch.optim.SGD([theirs], 0.1, momentum=momentum)
    for _ in range(7):
        for weight in (ours, theirs):
            weight.grad = weight.detach().clone() ** 2
        mine.step(0.1)
        sgd.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_under_a_steady_gradient_momentum_sums_a_geometric_series() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = Momentum([weight], 0.8)
    for n in range(1, 12):
        weight.grad = torch.ones(1)
        optimiser.step(1.0)
        assert optimiser.velocities[0].item() == pytest.approx((1 - 0.8**n) / 0.2, rel=1e-5)


def test_the_cosine_has_its_ends_its_middle_and_torchs_values() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], 0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    for step in range(21):
        assert cosine(step, 20, 0.3) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9)
        optimiser.step()
        schedule.step()
    assert cosine(0, 20, 0.3) == 0.3 and cosine(20, 20, 0.3) == 0
    assert cosine(10, 20, 0.3) == pytest.approx(0.15)


def test_attention_is_that_of_torch() -> None:
    q, k, v = _images(3, 2, 4, 9, 5).unbind(0)
    expected = F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(attention(q, k, v), expected, atol=1e-5)
    assert torch.allclose(attention(q, 0 * k, v), v.mean(-2, keepdim=True).expand(v.shape))


def test_self_attention_is_that_of_torch_with_the_same_weights() -> None:
    ours, theirs = SelfAttention(6, heads=2), nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(ours.outer.weight)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.inner.weight[:, :, 0, 0])
        theirs.in_proj_bias.copy_(ours.inner.bias)
        theirs.out_proj.weight.copy_(ours.outer.weight[:, :, 0, 0])
        theirs.out_proj.bias.copy_(ours.outer.bias)
    x = _images(2, 6, 3, 4)
    tokens = x.flatten(2).mT
    expected = x + theirs(tokens, tokens, tokens)[0].mT.reshape(x.shape)
    assert torch.allclose(ours(x), expected, atol=1e-5)


def test_residual_pairs_and_attention_start_as_the_identity() -> None:
    x = _images(2, 4, 5, 5).relu()
    assert torch.equal(Pair(4, normalised=True, residual=True)(x), x)
    assert torch.equal(SelfAttention(4)(x), x)
    assert not torch.equal(Pair(4, normalised=True, residual=False)(x), x)


def test_shifted_images_move_and_lose_what_leaves() -> None:
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    assert torch.equal(shifted(x, 0, 0), x)
    assert shifted(x, 1, 0)[0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert shifted(x, 0, -1)[0, 0].tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]
    assert np.isclose(shifted(shifted(x, 1, 1), -1, -1)[..., :2, :2], x[..., :2, :2]).all()
