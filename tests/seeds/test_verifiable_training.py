"""Freivalds' test and the integers of a training step: right ones hold, wrong ones fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.seeds.verifiable_training.integers import (
    PRODUCTS,
    Checker,
    Network,
    Q,
    R,
    decompose,
    decomposed,
    freivalds,
    scaled,
)

WHOLE = st.integers(-(2 ** (Q + R - 1)), 2 ** (Q + R - 1) - 1)


def _integers(generator, *shape) -> np.ndarray:
    return generator.integers(-1000, 1000, shape).astype(float)


def test_a_right_product_always_passes() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        a, b = _integers(generator, 5, 7), _integers(generator, 7, 3)
        assert freivalds(a, b, a @ b, 1, generator)


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_a_wrong_product_passes_as_often_as_two_to_the_minus_rounds(rounds) -> None:
    """One wrong entry is the worst case: its column is left out in half of all rounds."""
    generator, trials = np.random.default_rng(1), 4000
    a, b = _integers(generator, 6, 6), _integers(generator, 6, 6)
    wrong = a @ b
    wrong[2, 3] += 1
    missed = sum(freivalds(a, b, wrong, rounds, generator) for _ in range(trials))
    p = 2.0**-rounds
    assert abs(missed / trials - p) < 4 * (p * (1 - p) / trials) ** 0.5


def test_products_that_float64_would_round_are_refused() -> None:
    large = np.full((4, 4), 2.0**26)
    with pytest.raises(OverflowError):
        freivalds(large, large, large, 1, np.random.default_rng(0))


@given(WHOLE)
def test_a_number_is_its_bits_and_relu_and_rescaling_follow_from_them(value: int) -> None:
    z = np.array([float(value)])
    sign, magnitude, remainder = decompose(z)
    assert decomposed(z, sign, magnitude, remainder)
    assert scaled(sign, magnitude)[0] == value // 2**R
    assert ((1 - sign) * magnitude)[0] == max(0, value // 2**R)


@given(WHOLE, st.sampled_from([0, 1, 2]), st.sampled_from([-(2**R), -1, 1, 2**R]))
def test_no_other_decomposition_fits(value: int, which: int, change: int) -> None:
    z = np.array([float(value)])
    parts = list(decompose(z))
    parts[which] = parts[which] + change
    assert not decomposed(z, *parts)


def test_changes_that_cancel_leave_the_ranges() -> None:
    z = np.array([-5.0 * 2**R + 7])
    sign, magnitude, remainder = decompose(z)
    assert not decomposed(z, sign, magnitude + 1, remainder - 2.0**R)
    assert not decomposed(z, sign - 1, magnitude - 2.0 ** (Q - 1), remainder)


@pytest.fixture(scope="module")
def trace() -> dict:
    generator = np.random.default_rng(2)
    x = np.floor(generator.uniform(0, 2.0**R, (16, 64)))
    target = np.eye(10)[generator.integers(0, 10, 16)] * 2.0**R
    return Network.random(12, generator).step(x, target)


def test_a_step_holds_line_by_line(trace) -> None:
    assert Checker(rounds=20).failures(trace) == []


def test_the_step_goes_down_the_slope_of_the_squared_error(trace) -> None:
    """Against the derivative in floating point; rounding leaves about 2^-R of it."""
    x, w1, w2 = (trace[name] / 2.0**R for name in ("x", "w1", "w2"))
    hidden = np.maximum(x @ w1, 0)
    error = hidden @ w2 - trace["target"] / 2.0**R
    slope2 = hidden.T @ error
    slope1 = x.T @ ((error @ w2.T) * (hidden > 0))
    for name, slope in (("gw1", slope1), ("gw2", slope2)):
        got = trace[name] / 2.0 ** (2 * R)
        assert np.linalg.norm(got - slope) < 0.01 * np.linalg.norm(slope)


def test_any_one_number_that_is_changed_is_found(trace) -> None:
    generator, checker = np.random.default_rng(3), Checker(rounds=30)
    for name in trace:
        changed = {**trace, name: trace[name].copy()}
        place = tuple(generator.integers(0, side) for side in changed[name].shape)
        changed[name][place] += 1
        assert checker.failures(changed), name
    assert set(PRODUCTS) < set(trace)
