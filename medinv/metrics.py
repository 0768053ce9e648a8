"""Metrics with 95 % intervals, calibration and operating points.

For two classes probabilities are of the positive class, for more of every class.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Metric = Callable[[NDArray, NDArray], float]
# Probabilities between which observed shares are counted.
EDGES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0)
RESAMPLES, CLASS_RESAMPLES = 1000, 200  # of a bootstrap: of two classes, and of more
DRAWS = 20  # most draws of a bootstrap for each resample that is wanted
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


def patient_draws(patients: NDArray, seed: int) -> Iterator[NDArray]:
    """Rows of a bootstrap that draws whole patients, without end (Efron and Tibshirani 1993)."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    while True:
        drawn = generator.integers(len(members), size=len(members))
        yield np.concatenate([members[i] for i in drawn])


def clustered(
    metric: Metric,
    labels: NDArray,
    scores: NDArray,
    patients: NDArray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """A metric with the percentile interval of a bootstrap that draws whole patients.

    labels (N,), scores (N, ...), patients (N,). A metric is NaN where it is not defined, as the
    AUC of images of one class: such resamples are drawn again, at most DRAWS times as many. None
    where the metric is not defined of all images, or of too few resamples to bound it.
    """
    value = metric(labels, scores)
    if math.isnan(value):
        return None
    drawn = (
        metric(labels[rows], scores[rows])
        for rows in islice(patient_draws(patients, seed), DRAWS * resamples)
    )
    values = list(islice((one for one in drawn if not math.isnan(one)), resamples))
    if len(values) < resamples:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(value=float(value), low=float(low), high=float(high), n=len(labels))


def clustered_auc(
    labels: NDArray, scores: NDArray, patients: NDArray, *, seed: int = 0
) -> Estimate:
    """The area under the ROC curve with the interval of a bootstrap of patients, of more than two
    classes the mean of one against the rest.

    labels, patients (N,); scores (N,) of the second of two classes, or (N, K). Raises ValueError
    where it is not defined, as of images of one class.
    """
    found = clustered(auc if scores.ndim == 1 else macro_auc, labels, scores, patients, seed=seed)
    if found is None:
        raise ValueError("expected images of two classes or more, of several patients")
    return found


def mean(values: NDArray, patients: NDArray, *, seed: int = 0) -> Estimate:
    """The mean of values (N,) with the interval of a bootstrap of patients."""
    weighed = clustered(lambda v, _: float(v.mean()), values, values, patients, seed=seed)
    if weighed is None:
        raise ValueError("expected values that are numbers")
    return weighed


def share(hits: NDArray, patients: NDArray) -> Estimate:
    """The share of images with a property, hits (N,) bool, with the Wilson interval of patients.

    Images of one patient are alike: the interval is that of as many cases as there are patients.
    Raises ValueError where there is none.
    """
    if not len(hits):
        raise ValueError("expected images; got none")
    return wilson(float(hits.mean()), len(np.unique(patients)), len(hits))


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
        count, positive = len(np.unique(patients[inside])), share(labels[inside], patients[inside])
        shares.append(
            ObservedShare(low=edges[k], high=edges[k + 1], patients=count, share=positive)
        )
    return tuple(shares)


def expected_calibration_error(labels: NDArray, probabilities: NDArray, bins: int = 10) -> float:
    """Mean over equally filled bins of |share of positives - mean probability|.

    The measure is that of Naeini et al. (AAAI 2015).
    """
    order = np.argsort(probabilities, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
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
    return _under(thresholds[np.argmax(true_positive - false_positive)], probabilities)


def sensitive_threshold(labels: NDArray, probabilities: NDArray, sensitivity: float) -> float:
    """The highest threshold at which at least this share of positive images is called.

    It lies midway to the next score below it.

    >>> labels, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.6, 0.8])
    >>> round(sensitive_threshold(labels, scores, 0.6), 2)
    0.45
    """
    positive = np.sort(probabilities[labels == 1])[::-1]
    return _under(positive[math.ceil(sensitivity * len(positive)) - 1], probabilities)


def _under(best: float, probabilities: NDArray) -> float:
    below = probabilities[probabilities < best]
    return float((best + below.max()) / 2 if len(below) else best)


def metrics(
    labels: NDArray, probabilities: NDArray, patients: NDArray, threshold: float
) -> dict[str, Estimate]:
    """AUC, accuracy, sensitivity, specificity, Brier score and calibration error of two classes.

    They are taken at one operating point, all clustered by patient. Resamples hold both classes
    where `labels` do; what is not defined of them, such as the AUC of one class, is left out.
    """
    called = probabilities >= threshold
    measures: dict[str, tuple[Metric, NDArray]] = {
        "auc": (auc, probabilities),
        "accuracy": (lambda y, c: float((y == c).mean()), called),
        "sensitivity": (lambda y, c: _mean(c[y == 1]), called),
        "specificity": (lambda y, c: _mean(~c[y == 0]), called),
        "brier": (lambda y, p: float(np.square(p - y).mean()), probabilities),
        "calibration_error": (expected_calibration_error, probabilities),
    }
    both = 0 < labels.mean() < 1
    return _estimates(
        {
            name: (_of_both(metric) if both else metric, scores)
            for name, (metric, scores) in measures.items()
        },
        labels,
        patients,
        RESAMPLES,
    )


def class_metrics(
    labels: NDArray,
    probabilities: NDArray,
    patients: NDArray,
    *,
    ordered: bool = False,
    resamples: int = CLASS_RESAMPLES,
) -> dict[str, Estimate]:
    """Accuracy, macro AUC, Brier score and calibration error of more than two classes.

    labels (N,), probabilities (N, K), patients (N,). Macro AUC is that of one class against the
    rest, over the classes that are there. Brier is the mean squared distance of the probabilities
    from the truth, 0 to 2; calibration error that of the called class (Guo et al. 2017,
    1706.04599). Of `ordered` classes also the quadratic weighted kappa of the call (Cohen 1968) and
    the mean distance, in grades, of the expected grade from the true one. Accuracy has the interval
    of Wilson that counts patients, the others that of a bootstrap of patients; what is not defined
    is left out.
    """
    measures: dict[str, Metric] = {
        "balanced_accuracy": balanced_accuracy,
        "auc": macro_auc,
        "brier": class_brier,
        "calibration_error": called_calibration_error,
    }
    if ordered:
        measures |= {"weighted_kappa": weighted_kappa, "grade_error": grade_error}
    asked = {name: (metric, probabilities) for name, metric in measures.items()}
    return {"accuracy": share(probabilities.argmax(1) == labels, patients)} | _estimates(
        asked, labels, patients, resamples
    )


class ClassMetrics(BaseModel):
    """One class against the rest; what is not defined, as of a class without images, is None."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    images: int
    auc: Estimate | None
    sensitivity: Estimate | None  # share of its images that are called so
    specificity: Estimate | None  # share of the other images that are not
    precision: Estimate | None  # share of the images called so that are
    called: tuple[int, ...]  # how many of its images are called each class: a row of the confusion


def by_class(
    labels: NDArray,
    called: NDArray,
    probabilities: NDArray,
    patients: NDArray,
    classes: Sequence[str],
) -> tuple[ClassMetrics, ...]:
    """Metrics of each class against the rest, in order.

    labels, called, patients (N,), probabilities (N, K); `called` are numbers of classes. Shares
    have the interval of Wilson that counts patients, since images of one patient are alike.
    """

    def share_of(hits: NDArray, of: NDArray) -> Estimate | None:
        return share(hits[of], patients[of]) if of.any() else None

    told = []
    for k, name in enumerate(classes):
        hit, truth = called == k, labels == k
        one = ClassMetrics(
            name=name,
            images=int(truth.sum()),
            auc=clustered(auc, truth, probabilities[:, k], patients, resamples=CLASS_RESAMPLES),
            sensitivity=share_of(hit, truth),
            specificity=share_of(~hit, ~truth),
            precision=share_of(truth, hit),
            called=tuple(np.bincount(called[truth], minlength=len(classes)).tolist()),
        )
        told.append(one)
    return tuple(told)


def _estimates(
    measures: dict[str, tuple[Metric, NDArray]], labels: NDArray, patients: NDArray, resamples: int
) -> dict[str, Estimate]:
    """Those that are defined."""
    told = {
        name: clustered(metric, labels, scores, patients, resamples=resamples)
        for name, (metric, scores) in measures.items()
    }
    return {name: estimate for name, estimate in told.items() if estimate is not None}


def _of_both(metric: Metric) -> Metric:
    """The same, not defined of labels of one class."""
    return lambda y, s: metric(y, s) if 0 < y.mean() < 1 else math.nan


def _mean(values: NDArray) -> float:
    """NaN of none."""
    return float(values.mean()) if len(values) else math.nan


def auc(labels: NDArray, scores: NDArray) -> float:
    """Area under the curve of labels (N,) 0 or 1, by ranks, ties half (Mann and Whitney 1947); NaN
    where one of the two is not there.
    """
    positive = labels.astype(bool)
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return math.nan
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place][positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))


def macro_auc(labels: NDArray, probabilities: NDArray) -> float:
    """Mean, over the classes that are there, of the AUC of one class against the rest."""
    present = np.unique(labels)
    if len(present) < 2:
        return math.nan
    return float(np.mean([auc(labels == k, probabilities[:, k]) for k in present]))


def balanced_accuracy(labels: NDArray, probabilities: NDArray) -> float:
    """Mean, over the classes that are there, of the share of their images that are called so."""
    called = probabilities.argmax(1)
    return float(np.mean([(called[labels == k] == k).mean() for k in np.unique(labels)]))


def weighted_kappa(labels: NDArray, probabilities: NDArray) -> float:
    """Agreement of called with true grades beyond chance, misses weighted by their square.

    NaN where chance alone agrees wholly, as of images of one grade that are all called so.
    """
    called = probabilities.argmax(1)
    grades = np.arange(probabilities.shape[1])
    apart = np.square(grades[:, None] - grades)
    true, told = (np.bincount(one, minlength=len(grades)) for one in (labels, called))
    chance = float(true @ apart @ told) / len(labels)
    return 1 - float(np.square(called - labels).sum()) / chance if chance else math.nan


def grade_error(labels: NDArray, probabilities: NDArray) -> float:
    """Mean distance of the expected grade, the mean of all by probability, from the true one."""
    return float(np.abs(probabilities @ np.arange(probabilities.shape[1]) - labels).mean())


def class_brier(labels: NDArray, probabilities: NDArray) -> float:
    """Mean squared distance of the probabilities (N, K) from the truth."""
    return float(np.square(probabilities - np.eye(probabilities.shape[1])[labels]).sum(1).mean())


def called_calibration_error(labels: NDArray, probabilities: NDArray) -> float:
    """Calibration error of the called class: its probability against the share of right calls."""
    return expected_calibration_error(
        (probabilities.argmax(1) == labels).astype(float), probabilities.max(1)
    )
