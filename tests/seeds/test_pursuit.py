"""Layers are inverted where they can be, and told ambiguous where they cannot."""

import numpy as np
import pytest
import torch

from pipelines.seeds.pursuit.layers import Layer, backwards, invert, only, spread
from pipelines.seeds.pursuit.networks import digits, generator_of, layers_of, outputs, twin_of


def test_a_wide_layer_comes_back_and_is_told_unique() -> None:
    (layer,) = generator_of((6, 24), 0)
    x = np.random.default_rng(1).standard_normal(6)
    answer = invert(layer, layer(x))
    assert answer.unique and answer.x == pytest.approx(x, abs=1e-9)


def test_a_layer_with_too_few_values_above_zero_is_told_ambiguous() -> None:
    layer = generator_of((6, 24), 0)[0]
    narrow = Layer(layer.weight[:5], layer.bias[:5], low=-np.inf)
    x = np.random.default_rng(1).standard_normal(6)
    assert not invert(narrow, narrow(x)).unique
    bounded = Layer(layer.weight[:5], layer.bias[:5], -3, 3)
    one, other = spread(bounded, bounded(x), directions=2)
    assert np.allclose(bounded(one), bounded(other), atol=1e-6)
    assert np.linalg.norm(one - other) > 0.1


def test_bounds_can_make_an_answer_unique_that_equations_leave_open() -> None:
    # x1 + x2 = 0 with both at least 0 says that both are 0; x1 + x2 = 1 says nothing of the kind.
    layer = Layer(np.array([[1.0, 1.0]]), np.zeros(1), low=0.0, cuts=False)
    assert only(layer, np.zeros(1), np.zeros(2))
    assert not only(layer, np.ones(1), np.array([1.0, 0.0]))
    # A cut value that is just met bounds too: x1 <= x2 and x1 >= x2 leave the line x1 = x2.
    cut = Layer(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2), low=-np.inf)
    assert not only(cut, np.zeros(2), np.zeros(2))
    both = Layer(np.vstack([cut.weight, [[1.0, 1.0]]]), np.array([0.0, 0.0, 1.0]), low=-np.inf)
    assert only(both, np.array([0.0, 0.0, 1.0]), np.zeros(2))


def test_networks_come_back_layer_by_layer_and_noise_does_no_more_than_its_share() -> None:
    layers = generator_of((8, 32, 96), 3)
    z = np.random.default_rng(0).standard_normal(8)
    y = outputs(layers, z)[-1]
    found, unique = backwards(layers, y)
    assert all(unique) and found == pytest.approx(z, abs=1e-8)
    for noise in (1e-4, 1e-3):
        e = np.random.default_rng(1).uniform(-noise, noise, len(y))
        answer = invert(layers[-1], (y + e).clip(0), noise=noise)
        before = outputs(layers, z)[0]
        assert answer.residual <= 2 * noise + 1e-9
        assert np.abs(answer.x - before).max() <= answer.error < 100 * noise
        found, _ = backwards(layers, (y + e).clip(0), noise=noise)
        assert np.linalg.norm(found - z) < 20 * noise


def test_a_twin_is_the_matrices_that_it_is_told_as() -> None:
    twin = twin_of((4, 6), 0, 2)
    x, _ = digits()
    layers = [layer for _, layer in layers_of(twin)]
    told = outputs(layers, x[0].flatten().numpy())[-1]
    with torch.no_grad():
        assert told == pytest.approx(twin.features(x[:1])[0].numpy(), abs=1e-10)
