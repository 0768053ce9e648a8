"""Metrics with 95 % intervals, calibration and operating points.

For two classes probabilities are of the positive class, for more of every class.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Metric = Callable[[NDArray, NDArray], float]
# Probabilities between which observed shares are counted.
EDGES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0)
Z = 1.959964  # the 97.5th percentile of the normal distribution


class Estimate(BaseModel):
    """A value with its 95 % interval from n cases.

    >>> str(Estimate(value=0.991, low=0.984, high=0.996, n=578))
    '0.991 (0.984 to 0.996)'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def clustered(
    metric: Metric,
    labels: NDArray,
    scores: NDArray,
    patients: NDArray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A metric with the percentile interval of a bootstrap that draws whole patients.

    The bootstrap is that of Efron and Tibshirani (1993). labels (N,) 0 or 1, scores (N,), patients
    (N,); resamples without both classes are drawn again.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    values: list[float] = []
    while len(values) < resamples:
        rows = np.concatenate(
            [members[i] for i in generator.integers(len(members), size=len(members))]
        )
        if 0 < labels[rows].mean() < 1:
            values.append(metric(labels[rows], scores[rows]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(
        value=float(metric(labels, scores)), low=float(low), high=float(high), n=len(labels)
    )


def proportion(hits: NDArray) -> Estimate:
    """A share of independent cases, hits (N,) bool, with its Wilson interval (1927)."""
    return wilson(float(hits.mean()), len(hits), len(hits))


def wilson(share: float, count: int, n: int) -> Estimate:
    """A share of n cases with the Wilson interval (1927) of `count` independent ones."""
    centre = share + Z * Z / (2 * count)
    half = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    low, high = max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
    return Estimate(value=share, low=low, high=high, n=n)


class ObservedShare(BaseModel):
    """Of the images with a probability from `low` to below `high`, the share that is positive.

    Its interval counts patients, since images of one patient are alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    patients: int
    share: Estimate


def observed(
    labels: NDArray, probabilities: NDArray, patients: NDArray, edges: tuple[float, ...] = EDGES
) -> tuple[ObservedShare, ...]:
    """Shares of positives by probability, empty bins left out; all arrays (N,)."""
    bins = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    shares = []
    for k in np.unique(bins):
        inside = bins == k
        count = len(np.unique(patients[inside]))
        share = wilson(float(labels[inside].mean()), count, int(inside.sum()))
        shares.append(ObservedShare(low=edges[k], high=edges[k + 1], patients=count, share=share))
    return tuple(shares)


def expected_calibration_error(labels: NDArray, probabilities: NDArray, bins: int = 10) -> float:
    """Mean over equally filled bins of |share of positives - mean probability|.

    The measure is that of Naeini et al. (AAAI 2015).
    """
    order = np.argsort(probabilities, kind="stable")
    groups = np.array_split(order, bins)
    return float(
        sum(len(g) * abs(labels[g].mean() - probabilities[g].mean()) for g in groups) / len(labels)
    )


def youden_threshold(labels: NDArray, probabilities: NDArray) -> float:
    """The threshold that maximises sensitivity + specificity (Youden 1950).

    It lies midway to the next score below it.
    """
    from sklearn.metrics import roc_curve

    false_positive, true_positive, thresholds = roc_curve(
        labels, probabilities, drop_intermediate=False
    )
    best = thresholds[np.argmax(true_positive - false_positive)]
    below = probabilities[probabilities < best]
    return float((best + below.max()) / 2 if len(below) else best)


def metrics(
    labels: NDArray, probabilities: NDArray, patients: NDArray, threshold: float
) -> dict[str, Estimate]:
    """AUC, accuracy, sensitivity, specificity, Brier score and calibration error.

    They are taken at one operating point, all clustered by patient.
    """
    from sklearn.metrics import brier_score_loss, roc_auc_score

    called = probabilities >= threshold
    measures: dict[str, tuple[Metric, NDArray]] = {
        "auc": (roc_auc_score, probabilities),
        "accuracy": (lambda y, c: float((y == c).mean()), called),
        "sensitivity": (lambda y, c: float(c[y == 1].mean()), called),
        "specificity": (lambda y, c: float((~c[y == 0]).mean()), called),
        "brier": (brier_score_loss, probabilities),
        "calibration_error": (expected_calibration_error, probabilities),
    }
    return {
        name: clustered(metric, labels, scores, patients)
        for name, (metric, scores) in measures.items()
    }


def class_metrics(
    labels: NDArray, probabilities: NDArray, *, resamples: int = 200, seed: int = 0
) -> dict[str, Estimate]:
    """Accuracy, macro AUC, Brier score and calibration error of independent images.

    labels (N,), probabilities (N, K). Accuracy has the interval of Wilson, macro AUC is that of one
    class against the rest. Brier is the mean squared distance of the probabilities from the truth,
    0 to 2; calibration error that of the called class (Guo et al. 2017, 1706.04599). All but
    accuracy have percentile intervals of a bootstrap over images; resamples without one of the
    classes are drawn again.
    """
    generator, classes = np.random.default_rng(seed), probabilities.shape[1]
    measures = {
        "auc": macro_auc,
        "brier": class_brier,
        "calibration_error": called_calibration_error,
    }
    values: list[list[float]] = []
    while len(values) < resamples:
        rows = generator.integers(len(labels), size=len(labels))
        if len(np.unique(labels[rows])) == classes:
            values.append(
                [measure(labels[rows], probabilities[rows]) for measure in measures.values()]
            )
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    others = {
        name: Estimate(
            value=measure(labels, probabilities), low=float(a), high=float(b), n=len(labels)
        )
        for (name, measure), a, b in zip(measures.items(), low, high, strict=True)
    }
    return {"accuracy": proportion(probabilities.argmax(1) == labels), **others}


def macro_auc(labels: NDArray, probabilities: NDArray) -> float:
    """Mean over classes of the AUC of one class against the rest."""
    from sklearn.metrics import roc_auc_score

    return float(
        np.mean(
            [roc_auc_score(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
        )
    )


def class_brier(labels: NDArray, probabilities: NDArray) -> float:
    """Mean squared distance of the probabilities (N, K) from the truth."""
    return float(np.square(probabilities - np.eye(probabilities.shape[1])[labels]).sum(1).mean())


def called_calibration_error(labels: NDArray, probabilities: NDArray) -> float:
    """Calibration error of the called class: its probability against the share of right calls."""
    return expected_calibration_error(
        (probabilities.argmax(1) == labels).astype(float), probabilities.max(1)
    )
