"""Ternary networks: the loss never rises, the weights stay ternary, and two bits hold each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from pipelines.seeds.ternary.descent import (
    VALUES,
    Ternary,
    loss,
    packed,
    rounded,
    standardised,
    unpacked,
)


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:100], order[100:]
    return (*standardised(x[train], x[test]), y[train], y[test])


@pytest.mark.parametrize("hidden", [0, 6])
def test_the_loss_never_rises_and_is_the_loss(iris, hidden) -> None:
    """To the last bit: it is kept up to date weight by weight, and computed anew from them."""
    x, _, y, _ = iris
    network = Ternary(x.shape[1], hidden, 3, seed=1)
    for _ in range(4):
        network.sweep(x, y)
        assert network.losses[-1] == loss(network.logits(x), y)
    assert (np.diff(network.losses) <= 0).all() and network.losses[-1] < network.losses[0]
    assert all(np.isin(w, VALUES).all() for w in network.weights)


@pytest.mark.parametrize("hidden", [0, 4])
def test_where_it_stops_no_single_weight_could_be_better(iris, hidden) -> None:
    x, _, y, _ = iris
    network = Ternary(x.shape[1], hidden, 3, seed=2).fit(x, y, sweeps=50)
    reached = network.losses[-1]
    for weights in network.weights:
        for at in np.ndindex(*weights.shape):
            kept = weights[at]
            for value in VALUES:
                weights[at] = value
                assert loss(network.logits(x), y) >= reached
            weights[at] = kept


def test_it_learns_iris_about_as_well_as_real_weights(iris) -> None:
    x, test, y, truth = iris
    ternary = Ternary(x.shape[1], 16, 3).fit(x, y, sweeps=20)
    real = LogisticRegression(max_iter=500).fit(x, y)
    right = (ternary.logits(test).argmax(1) == truth).mean()
    assert right > 0.85 and right >= (real.predict(test) == truth).mean() - 0.1


def test_the_loss_is_the_cross_entropy() -> None:
    logits, labels = np.array([[0.0, 0.0], [np.log(3), 0.0]]), np.array([0, 1])
    assert loss(logits, labels) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert loss(logits + 1e4, labels) == pytest.approx((np.log(2) + np.log(4)) / 2)


@given(arrays(np.float64, st.integers(1, 40), elements=st.sampled_from(VALUES)))
def test_packed_weights_come_back(weights: np.ndarray) -> None:
    assert (unpacked(packed(weights), weights.shape) == weights).all()
    assert len(packed(weights)) == -(-len(weights) // 4)


def test_packed_they_take_a_thirty_second_of_float64() -> None:
    weights = np.random.default_rng(0).choice(VALUES, (64, 10))
    assert 32 * len(packed(weights)) == weights.nbytes


def test_rounding_keeps_signs_of_large_weights_alone() -> None:
    assert rounded(np.array([-2.0, -0.1, 0.0, 0.3, 4.0])).tolist() == [-1, 0, 0, 0, 1]
