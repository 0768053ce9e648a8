"""Sets hold the true class as often as was asked for, of exchangeable images, in each class."""

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from medinv.errors import ConfigError
from medinv.models.conformal import ERRORS, Conformal, fit_conformal, threshold


def _drawn(generator, count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model that is overconfident and often wrong."""
    labels = generator.integers(0, classes, count)
    logits = 4 * (np.eye(classes)[labels] + generator.normal(size=(count, classes)))
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True), labels


@pytest.mark.parametrize("error", [0.05, 0.2])
def test_on_average_over_draws_each_class_is_missed_as_often_as_allowed(error) -> None:
    """Between a - 1 / (n + 1) and a, whatever the model: the theorem, by class."""
    generator, missed = np.random.default_rng(0), np.zeros((400, 3))
    for row in missed:
        found = fit_conformal(*_drawn(generator, 240))
        probabilities, labels = _drawn(generator, 600)
        held = found.holds(probabilities, error)[np.arange(600), labels]
        row[:] = [1 - held[labels == k].mean() for k in range(3)]
    sampling = 3 * missed.std(0) / 20
    assert (missed.mean(0) < error + sampling).all()
    assert (missed.mean(0) > error - 1 / 70 - sampling).all()


def test_the_threshold_is_the_rank_of_the_theorem() -> None:
    p = np.arange(1, 20) / 20  # 19 images: (19 + 1) * 0.05 is the first
    assert threshold(p, 0.05) == 0.05 and threshold(p, 0.1) == 0.1
    assert threshold(p[1:], 0.05) == 0.0, "too few images for so small an error: never left out"
    assert threshold(np.arange(1.0, 100.0), 0.29) == 29.0


def test_a_smaller_error_gives_a_larger_set() -> None:
    probabilities, labels = _drawn(np.random.default_rng(1), 500)
    found = fit_conformal(probabilities, labels)
    sizes = [found.holds(probabilities, error).sum(1) for error in ERRORS]
    assert all((a >= b).all() for a, b in pairwise(sizes))


def test_an_error_without_thresholds_is_refused_by_name() -> None:
    found = fit_conformal(*_drawn(np.random.default_rng(1), 50))
    with pytest.raises(ConfigError, match=r"expected an error of 0\.01, .*got 0\.03"):
        found.at(0.03)


def test_thresholds_that_are_none_are_refused() -> None:
    with pytest.raises(ValidationError, match="threshold from 0 to 1"):
        Conformal(errors=(0.1,), thresholds=((float("nan"), 0.5),), images=(3, 3))
