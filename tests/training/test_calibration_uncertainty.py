"""How sure a calibrated probability is: bounds that hold it, and shares that count patients."""

import numpy as np
import pytest

from medinv.data.sets.labelled import Part
from medinv.metrics import observed, proportion
from medinv.training.calibrate import LOG_ODDS, fit_interval


def test_the_interval_holds_the_fit_and_is_drawn_by_patient(tiny_model, tiny_data) -> None:
    whole = fit_interval(tiny_model, tiny_data.validation, resamples=60)
    part = tiny_data.validation
    few = Part(part.images, part.labels, part.patients // 8)
    fewer = fit_interval(tiny_model, few, resamples=60)
    assert whole["log_odds"] == LOG_ODDS and all(
        low < high for low, high in zip(whole["low"], whole["high"], strict=True)
    )
    middle = [k for k, odds in enumerate(LOG_ODDS) if abs(odds) <= 2]
    assert all(whole["low"][k] <= LOG_ODDS[k] <= whole["high"][k] for k in middle)
    assert (
        len(np.unique(few.patients)) < len(np.unique(part.patients))
        and fewer["high"] != whole["high"]
    )


def test_the_same_resamples_give_the_same_interval(tiny_model, tiny_data) -> None:
    assert fit_interval(tiny_model, tiny_data.validation, resamples=20) == fit_interval(
        tiny_model, tiny_data.validation, resamples=20
    )


def test_observed_shares_count_each_image_once_and_patients_in_the_interval() -> None:
    probabilities, labels = (
        np.array([0.0, 0.005, 0.3, 0.4, 0.45, 0.97, 1.0]),
        np.array([0, 0, 0, 1, 1, 1, 1]),
    )
    alone = observed(labels, probabilities, np.arange(7))
    assert sum(one.share.n for one in alone) == 7 and [(one.low, one.high) for one in alone] == [
        (0.0, 0.01),
        (0.2, 0.5),
        (0.95, 0.99),
        (0.99, 1.0),
    ]
    middle, reference = alone[1].share, proportion(labels[2:5] == 1)
    assert (middle.value, middle.low, middle.high) == pytest.approx(
        (reference.value, reference.low, reference.high), abs=1e-6
    )
    together = observed(labels, probabilities, np.zeros(7, int))[1]
    assert (
        together.patients == 1
        and together.share.high - together.share.low > middle.high - middle.low
    )
