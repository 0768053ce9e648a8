"""What a trained network learns from validation images.

It learns calibrated probabilities, an operating point and the bounds of its scope.
"""

import math
from itertools import islice

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import DataError
from medinv.metrics import patient_draws, sensitive_threshold, youden_threshold
from medinv.models.base import Calibrated, in_batches
from medinv.models.build import kind_of

# Where the interval of the calibration is kept; between them it is interpolated.
LOG_ODDS = tuple(float(value) for value in range(-15, 16))
RIDGE = 0.1  # on the calibration of more than two classes, against one unit of loss an image
REFITS, MOST_REFITTED = 100, 50  # of more than two classes; and how many classes at most


@torch.no_grad()
def calibrate(model: Calibrated, config: Config, data: LabelledImages) -> None:
    """Fit the buffers of a network on validation images, and what its kind fits on training images.

    Two classes: logistic regression of the labels on the log-odds (Platt 1999), and the operating
    point: at the sensitivity that the recipe asks for, else Youden's. More: one factor and a bias a
    class, by the likelihood of the labels (Guo et al. 2017, 1706.04599, with the biases of their
    vector scaling), and no operating point. Test images serve for nothing.
    """
    logits = in_batches(model.logits, model, data.validation.images)
    if len(model.classes) == 2:
        _fit_two(model, logits, data.validation.labels, config.train.sensitivity)
    else:
        factor, biases = fit_classes(logits.numpy(), data.validation.labels)
        model.temperature_inverse.fill_(factor)
        model.prior.copy_(torch.from_numpy(biases))
    kind = kind_of(config.model)
    kind.fit(model, data.train.images, data.train.labels, data.validation.images)


def _fit_two(
    model: Calibrated, logits: Tensor, labels: np.ndarray, sensitivity: float | None = None
) -> None:
    odds = logits[:, 1] - logits[:, 0]
    slope, intercept = _fit(odds.numpy(), labels)
    model.temperature_inverse.fill_(slope)
    model.prior.copy_(torch.tensor([0.0, intercept]))
    probabilities = torch.sigmoid(slope * odds + intercept).numpy()
    threshold = (
        youden_threshold(labels, probabilities)
        if sensitivity is None
        else sensitive_threshold(labels, probabilities, sensitivity)
    )
    model.decision_logit.fill_(math.log(threshold / (1 - threshold)))


def fit_classes(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The factor on logits (N, K) and the biases (K,) that make the labels (N,) likeliest.

    The biases sum to zero. A weak ridge holds both, as in the fit of two classes: without it labels
    that separate, or a class that none has, would drive them beyond all bounds.
    """
    scores = logits.astype(float)
    scores = scores - scores.mean(1, keepdims=True)
    scale = float(scores.std()) or 1.0
    truth, scores = np.eye(scores.shape[1])[labels], scores / scale

    def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
        calibrated = given[0] * scores + given[1:]
        log_sum = logsumexp(calibrated, axis=1, keepdims=True)
        off = np.exp(calibrated - log_sum) - truth
        value = (log_sum[:, 0] - (truth * calibrated).sum(1)).sum() + (RIDGE * given**2).sum() / 2
        slope = np.concatenate([[(off * scores).sum()], off.sum(0)]) + RIDGE * given
        return value, slope

    start = np.concatenate([[scale], np.zeros(scores.shape[1])])
    least = [(1e-3, None), *[(None, None)] * scores.shape[1]]
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=least).x
    return float(fit[0]) / scale, fit[1:] - fit[1:].mean()


def _fit(odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    scale = odds.std(ddof=1).item()
    # The ridge is weak; without it, validation labels that separate would make every probability 0
    # or 1.
    fit = LogisticRegression(C=10.0, tol=1e-8, max_iter=1000).fit(odds[:, None] / scale, labels)
    return float(fit.coef_[0, 0]) / scale, float(fit.intercept_[0])


def fit_interval(
    model: Calibrated, part: Part, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, ...]]:
    """How far calibrated log-odds move when the fit is repeated.

    These are 95 % bounds at LOG_ODDS, from `resamples` draws of whole patients of `part`, the
    images that `model` was calibrated on. It covers the fit alone: not what a logistic curve cannot
    follow, and not images of another kind. Raises DataError where `part` has one class alone.
    """
    logits = in_batches(model.logits, model, part.images)
    odds, slope = (logits[:, 1] - logits[:, 0]).numpy(), model.temperature_inverse.item()
    intercept = (model.prior[1] - model.prior[0]).item()
    raw = (np.array(LOG_ODDS) - intercept) / slope
    if not 0 < part.labels.mean() < 1:
        raise DataError("calibration: expected images of both classes among the validation images")
    draws = (
        rows for rows in patient_draws(part.patients, seed) if 0 < part.labels[rows].mean() < 1
    )
    refitted = []
    for rows in islice(draws, resamples):
        again = _fit(odds[rows], part.labels[rows])
        refitted.append(again[0] * raw + again[1])
    low, high = np.percentile(refitted, [2.5, 97.5], axis=0)
    return {"log_odds": LOG_ODDS, "low": tuple(low.tolist()), "high": tuple(high.tolist())}


def refits(model: Calibrated, part: Part, *, seed: int = 0) -> tuple[tuple[float, ...], ...]:
    """Fits of more than two classes to REFITS draws of whole patients of `part`.

    Each is a factor and the biases, relative to the fit in force: calibrated log-probabilities
    times the factor plus the biases, made to sum to one, are those of the other fit. Empty beyond
    MOST_REFITTED classes, of which a card would hold too many numbers.
    """
    if len(model.classes) > MOST_REFITTED:
        return ()
    logits = in_batches(model.logits, model, part.images).numpy()
    factor, biases = model.temperature_inverse.item(), model.prior.cpu().numpy()
    relative = []
    for rows in islice(patient_draws(part.patients, seed), REFITS):
        again, shifts = fit_classes(logits[rows], part.labels[rows])
        ratio = again / factor
        relative.append((ratio, *(shifts - ratio * biases).tolist()))
    return tuple(relative)
