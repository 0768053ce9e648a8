"""What a trained network learns from validation images: calibrated probabilities, an operating point and the bounds of its scope."""

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from medinv.data.sets.labelled import LabelledImages, Part
from medinv.metrics import youden_threshold
from medinv.models.base import Calibrated
from medinv.models.density import Classifier

SCOPE_QUANTILE = 0.99
LOG_ODDS = tuple(
    float(value) for value in range(-15, 16)
)  # where the interval of the calibration is kept; between them it is interpolated


@torch.no_grad()
def in_batches(function, model: nn.Module, images: np.ndarray, *, batch: int = 16) -> Tensor:
    """`function(x)` for stored images (N, C, *size) uint8 in the model's own arithmetic, joined over batches."""
    dtype = next(model.parameters()).dtype
    return torch.cat(
        [
            function(torch.from_numpy(images[i : i + batch]).to(dtype))
            for i in range(0, len(images), batch)
        ]
    )


@torch.no_grad()
def calibrate(model: Calibrated, data: LabelledImages) -> None:
    """Fit the buffers of a network; test images serve for nothing.

    More than two classes: one temperature, by the likelihood of validation images (Guo et al. 2017, 1706.04599), and no operating point. Two classes:

    Probability: logistic regression of the validation labels on the log-odds (Platt 1999). Operating point: Youden's, on validation images. Typical
    log-odds: medians of training images. Scope: the Mahalanobis distance of the likelihood's terms from their mean on training images, so that images *more*
    likely than any radiograph count as foreign too (typicality, Nalisnick et al. 2019, 1906.02994); its bound is the 99th percentile of validation images.
    """
    if len(model.classes) > 2:
        model.temperature_inverse.fill_(
            _inverse_temperature(
                in_batches(model.logits, model, data.validation.images), data.validation.labels
            )
        )
        return
    odds, terms = _read(model, data.validation.images)
    slope, intercept = _fit(odds.numpy(), data.validation.labels)
    model.temperature_inverse.fill_(slope)
    model.prior.copy_(torch.tensor([0.0, intercept]))
    threshold = youden_threshold(
        data.validation.labels, torch.sigmoid(slope * odds + intercept).numpy()
    )
    model.decision_logit.fill_(math.log(threshold / (1 - threshold)))
    if isinstance(model, Classifier):
        training_odds, training_terms = _read(model, data.train.images)
        labels = torch.from_numpy(data.train.labels)
        model.typical_odds.copy_(torch.stack([training_odds[labels == k].median() for k in (0, 1)]))
        _fit_scope(model, training_terms, terms)


def _inverse_temperature(logits: Tensor, labels: np.ndarray) -> float:
    """The factor on logits (N, K) that makes the labels likeliest."""
    scores, targets = logits.double(), torch.from_numpy(labels)

    def loss(log_factor: float) -> float:
        return torch.nn.functional.cross_entropy(math.exp(log_factor) * scores, targets).item()

    return math.exp(minimize_scalar(loss, bounds=(-7.0, 7.0), method="bounded").x)


def _fit(odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    scale = odds.std(ddof=1).item()
    # The ridge is weak; without it, validation labels that separate would make every probability 0 or 1.
    fit = LogisticRegression(C=10.0, tol=1e-8, max_iter=1000).fit(odds[:, None] / scale, labels)
    return float(fit.coef_[0, 0]) / scale, float(fit.intercept_[0])


def fit_interval(
    model: Calibrated, part: Part, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, ...]]:
    """How far calibrated log-odds move when the fit is repeated: 95 % bounds at LOG_ODDS, from `resamples` draws of whole patients of `part`, the
    images that `model` was calibrated on. It covers the fit alone: not what a logistic curve cannot follow, and not images of another kind.
    """
    odds, slope = _read(model, part.images)[0].numpy(), model.temperature_inverse.item()
    intercept = (model.prior[1] - model.prior[0]).item()
    raw = (np.array(LOG_ODDS) - intercept) / slope
    generator, patients = np.random.default_rng(seed), np.unique(part.patients)
    members = [np.flatnonzero(part.patients == patient) for patient in patients]
    refitted = []
    while len(refitted) < resamples:
        rows = np.concatenate(
            [members[i] for i in generator.integers(len(members), size=len(members))]
        )
        if 0 < part.labels[rows].mean() < 1:
            again = _fit(odds[rows], part.labels[rows])
            refitted.append(again[0] * raw + again[1])
    low, high = np.percentile(refitted, [2.5, 97.5], axis=0)
    return {"log_odds": LOG_ODDS, "low": tuple(low.tolist()), "high": tuple(high.tolist())}


def _read(model: Calibrated, images: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Uncalibrated log-odds (N,) and, of a classifier with a likelihood, its terms (N, T)."""
    if not isinstance(model, Classifier):
        logits = in_batches(model.logits, model, images)
        return logits[:, 1] - logits[:, 0], None
    both = in_batches(lambda x: torch.cat(model.logits_and_terms(x), 1), model, images)
    return both[:, 1] - both[:, 0], both[:, 2:]


def _fit_scope(model: Classifier, training: Tensor, validation: Tensor) -> None:
    centre = training.mean(0)
    whitening = torch.linalg.inv(torch.linalg.cholesky(torch.cov(training.T)))
    model.scope_centre.copy_(centre)
    model.scope_whitening.copy_(whitening)
    distances = ((validation - centre) @ whitening.T).norm(dim=1)
    model.scope_threshold.fill_(distances.quantile(SCOPE_QUANTILE).item())
