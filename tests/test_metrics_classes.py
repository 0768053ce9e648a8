"""Metrics and calibration of more than two classes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from medinv.metrics import (
    auc,
    by_class,
    called_calibration_error,
    class_brier,
    class_metrics,
    clustered,
    grade_error,
    macro_auc,
    metrics,
    weighted_kappa,
)
from medinv.training.calibrate import fit_classes


@pytest.fixture(scope="module")
def cases() -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest probabilities: each label is drawn from its own row."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.3] * 4, 3000)
    labels = (probabilities.cumsum(1) < generator.random((3000, 1))).sum(1)
    return labels, probabilities


def test_figures_agree_with_their_definitions(cases) -> None:
    labels, probabilities = cases
    found = class_metrics(labels, probabilities, np.arange(3000), resamples=50)
    assert found["auc"].value == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr")
    )
    assert found["accuracy"].value == (probabilities.argmax(1) == labels).mean()
    assert all(
        one.low <= one.value <= one.high and one.n == 3000
        for name, one in found.items()
        if name != "calibration_error"
    )
    assert (
        macro_auc(labels, np.eye(4)[labels]) == 1.0
        and class_brier(labels, np.eye(4)[labels]) == 0.0
        and class_brier(labels, np.full((3000, 4), 0.25)) == 0.75
    )


def test_overconfidence_is_seen_and_one_temperature_takes_it_back(cases) -> None:
    labels, probabilities = cases
    logits = 3 * np.log(probabilities + 1e-30)
    boasting = torch.from_numpy(logits).softmax(1).numpy()
    assert (
        called_calibration_error(labels, probabilities)
        < 0.03
        < 0.1
        < called_calibration_error(labels, boasting)
    )
    factor, biases = fit_classes(logits, labels)
    assert factor == pytest.approx(1 / 3, rel=0.1) and np.abs(biases).max() < 0.2


def test_biases_take_back_a_shift_of_the_classes(cases) -> None:
    labels, probabilities = cases
    shift = np.array([1.5, 0.0, -1.0, -0.5])
    factor, biases = fit_classes(np.log(probabilities + 1e-30) + shift, labels)
    assert biases + shift == pytest.approx(np.zeros(4), abs=0.3) and factor == pytest.approx(
        1, rel=0.1
    )


def test_labels_that_separate_and_a_class_without_any_keep_the_fit_within_bounds() -> None:
    labels = np.arange(60) % 2
    factor, biases = fit_classes(4.0 * np.eye(3)[labels], labels)
    assert 0 < factor < 100 and np.isfinite(biases).all() and np.abs(biases).max() < 50


def test_metrics_of_a_part_without_a_class_end_and_leave_out_what_is_not_defined(cases) -> None:
    """One class in a thousand patients, and none of it in most resamples."""
    labels, probabilities = cases
    rare = np.where(np.arange(3000) < 1, 3, labels % 3)
    told = class_metrics(rare, probabilities, np.arange(3000), resamples=20)
    assert 0 < told["auc"].low <= told["auc"].high < 1
    none = class_metrics(np.zeros(50, int), probabilities[:50], np.arange(50), resamples=20)
    assert "auc" not in none and none["accuracy"].n == 50
    two = metrics(np.ones(20, int), probabilities[:20, 0], np.arange(20), 0.5)
    assert set(two) == {"accuracy", "sensitivity", "brier", "calibration_error"}
    alone = clustered(auc, np.arange(20) == 0, probabilities[:20, 0], np.zeros(20), resamples=20)
    assert alone is not None and alone.low == alone.high  # one patient: every draw is the same


def test_each_class_is_held_against_the_rest(cases) -> None:
    labels, probabilities = cases
    called = probabilities.argmax(1)
    told = by_class(labels, called, probabilities, np.arange(3000), ("a", "b", "c", "absent"))
    for k, one in enumerate(told):
        expected = roc_auc_score(labels == k, probabilities[:, k])
        assert one.auc.value == pytest.approx(expected, abs=1e-12)
        assert one.sensitivity.value == (called[labels == k] == k).mean()
        assert one.precision.value == (labels[called == k] == k).mean()
        assert sum(one.called) == one.images == (labels == k).sum()
    fewer = by_class(
        labels % 3, called % 3, probabilities, np.arange(3000), ("a", "b", "c", "none")
    )
    assert fewer[3].auc is fewer[3].sensitivity is fewer[3].precision is None
    assert fewer[3].images == 0 and fewer[3].specificity.value == 1


def test_grades_are_told_by_how_far_off_they_are() -> None:
    labels = np.array([0, 1, 2, 3] * 20)
    near, far = np.eye(4)[np.minimum(labels + 1, 3)], np.eye(4)[(labels + 2) % 4]
    assert weighted_kappa(labels, np.eye(4)[labels]) == 1
    assert weighted_kappa(labels, near) == pytest.approx(
        cohen_kappa_score(labels, near.argmax(1), weights="quadratic")
    )
    assert weighted_kappa(labels, near) > weighted_kappa(labels, far)
    assert grade_error(labels, near) == 0.75 and grade_error(labels, np.full((80, 4), 0.25)) == 1
    told = class_metrics(labels, near, np.arange(80), ordered=True, resamples=20)
    assert told["weighted_kappa"].low < told["weighted_kappa"].value < told["weighted_kappa"].high
    assert "weighted_kappa" not in class_metrics(labels, near, np.arange(80), resamples=20)
