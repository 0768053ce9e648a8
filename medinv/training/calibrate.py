"""What a trained network learns from validation images.

It learns calibrated probabilities, an operating point and the bounds of its scope.
"""

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medinv.config import ModelConfig
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.metrics import youden_threshold
from medinv.models.base import Calibrated, in_batches
from medinv.models.build import kind_of

# Where the interval of the calibration is kept; between them it is interpolated.
LOG_ODDS = tuple(float(value) for value in range(-15, 16))


@torch.no_grad()
def calibrate(model: Calibrated, settings: ModelConfig, data: LabelledImages) -> None:
    """Fit the buffers of a network on validation images, and what its kind fits on training images.

    Two classes: logistic regression of the labels on the log-odds (Platt 1999), and Youden's
    operating point. More: one temperature, by the likelihood of the labels (Guo et al. 2017,
    1706.04599), and no operating point. Test images serve for nothing.
    """
    logits = in_batches(model.logits, model, data.validation.images)
    if len(model.classes) == 2:
        _fit_two(model, logits, data.validation.labels)
    else:
        model.temperature_inverse.fill_(_inverse_temperature(logits, data.validation.labels))
    kind = kind_of(settings)
    kind.fit(model, data.train.images, data.train.labels, data.validation.images)


def _fit_two(model: Calibrated, logits: Tensor, labels: np.ndarray) -> None:
    odds = logits[:, 1] - logits[:, 0]
    slope, intercept = _fit(odds.numpy(), labels)
    model.temperature_inverse.fill_(slope)
    model.prior.copy_(torch.tensor([0.0, intercept]))
    threshold = youden_threshold(labels, torch.sigmoid(slope * odds + intercept).numpy())
    model.decision_logit.fill_(math.log(threshold / (1 - threshold)))


def _inverse_temperature(logits: Tensor, labels: np.ndarray) -> float:
    """The factor on logits (N, K) that makes the labels likeliest."""
    scores, targets = logits.double(), torch.from_numpy(labels)

    def loss(log_factor: float) -> float:
        return torch.nn.functional.cross_entropy(math.exp(log_factor) * scores, targets).item()

    return math.exp(minimize_scalar(loss, bounds=(-7.0, 7.0), method="bounded").x)


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
    follow, and not images of another kind.
    """
    logits = in_batches(model.logits, model, part.images)
    odds, slope = (logits[:, 1] - logits[:, 0]).numpy(), model.temperature_inverse.item()
    intercept = (model.prior[1] - model.prior[0]).item()
    raw = (np.array(LOG_ODDS) - intercept) / slope
    generator, patients = np.random.default_rng(seed), np.unique(part.patients)
    members = [np.flatnonzero(part.patients == patient) for patient in patients]
    refitted: list[np.ndarray] = []
    while len(refitted) < resamples:
        rows = np.concatenate(
            [members[i] for i in generator.integers(len(members), size=len(members))]
        )
        if 0 < part.labels[rows].mean() < 1:
            again = _fit(odds[rows], part.labels[rows])
            refitted.append(again[0] * raw + again[1])
    low, high = np.percentile(refitted, [2.5, 97.5], axis=0)
    return {"log_odds": LOG_ODDS, "low": tuple(low.tolist()), "high": tuple(high.tolist())}
