"""Metrics and calibration of more than two classes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medinv.metrics import called_calibration_error, class_brier, class_metrics, macro_auc
from medinv.training.calibrate import _inverse_temperature


@pytest.fixture(scope="module")
def cases() -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest probabilities: each label is drawn from its own row."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.3] * 4, 3000)
    labels = (probabilities.cumsum(1) < generator.random((3000, 1))).sum(1)
    return labels, probabilities


def test_figures_agree_with_their_definitions(cases) -> None:
    labels, probabilities = cases
    found = class_metrics(labels, probabilities, resamples=50)
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
    assert _inverse_temperature(torch.from_numpy(logits), labels) == pytest.approx(1 / 3, rel=0.1)
