"""Metrics of called classes and probabilities, with intervals from resampled patients.

One bootstrap of whole patients (Efron and Tibshirani 1993) serves every metric, and both models
where two are compared, so that what they share cancels in the difference.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from medinv.metrics import (
    RESAMPLES,
    Estimate,
    auc,
    called_calibration_error,
    class_brier,
    expected_calibration_error,
    patient_draws,
)

FEWEST = 100  # resamples in which a metric must be defined for an interval
BINS = 10  # of the calibration error

Metric = Callable[[NDArray, NDArray, NDArray], float]
Said = tuple[NDArray, NDArray]
"""Of one model: probabilities (N, K) and called classes (N,)."""


def estimates(
    labels: NDArray, patients: NDArray, classes: Sequence[str], models: Sequence[Said]
) -> tuple[dict[str, Estimate], ...]:
    """Metrics of the first model and, of two, its own less the other's, from the same resamples.

    A metric that fewer than 100 resamples define, for want of patients, is left out.
    """
    measures = metrics_of(classes)

    def table(rows: NDArray) -> NDArray:
        """(models, metrics), and their difference as a last row."""
        values = np.array(
            [
                [measure(labels[rows], p[rows], called[rows]) for measure in measures.values()]
                for p, called in models
            ]
        )
        return np.vstack([values[:1], values[:1] - values[1:]])

    whole = table(np.arange(len(labels)))
    drawn = np.array([table(rows) for rows in islice(patient_draws(patients, 0), RESAMPLES)])
    return tuple(
        {
            name: _estimate(whole[row, column], drawn[:, row, column], len(labels))
            for column, name in enumerate(measures)
            if np.isfinite(drawn[:, row, column]).sum() >= FEWEST
        }
        for row in range(len(whole))
    )


def _estimate(value: float, drawn: NDArray, n: int) -> Estimate:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value=float(value), low=float(low), high=float(high), n=n)


def metrics_of(classes: Sequence[str]) -> dict[str, Metric]:
    """By name, functions of labels (N,), probabilities (N, K) and called classes (N,).

    Not a number where a class that they need is absent.
    """
    if len(classes) == 2:
        return {
            "auc": lambda y, p, called: auc(y == 1, p[:, 1]),
            "accuracy": lambda y, p, called: float((y == called).mean()),
            "sensitivity": lambda y, p, called: _share(called == 1, y == 1),
            "specificity": lambda y, p, called: _share(called == 0, y == 0),
            "brier": lambda y, p, called: float(np.square(p[:, 1] - y).mean()),
            "calibration_error": _of_enough(lambda y, p: expected_calibration_error(y, p[:, 1])),
        }
    each = {
        f"sensitivity of {name}": lambda y, p, called, k=k: _share(called == k, y == k)
        for k, name in enumerate(classes)
    }
    return {
        "auc": lambda y, p, called: float(
            np.mean([auc(y == k, p[:, k]) for k in range(len(classes))])
        ),
        "accuracy": lambda y, p, called: float((y == called).mean()),
        **each,
        "brier": lambda y, p, called: class_brier(y, p),
        "calibration_error": _of_enough(called_calibration_error),
    }


def _share(hits: NDArray, among: NDArray) -> float:
    return float(hits[among].mean()) if among.any() else float("nan")


def _of_enough(measure: Callable[[NDArray, NDArray], float]) -> Metric:
    """Bins want at least an image each."""
    return lambda y, p, called: measure(y, p) if len(y) >= BINS else float("nan")
