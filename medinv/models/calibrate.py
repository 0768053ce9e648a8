"""What a trained network learns from validation images: calibrated probabilities, an operating point and the bounds of its scope."""

import math

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from medinv.data.labelled import LabelledImages
from medinv.evaluate import youden_threshold
from medinv.models.calibrated import Calibrated
from medinv.models.classifier import Classifier

SCOPE_QUANTILE = 0.99


@torch.no_grad()
def in_batches(function, model: nn.Module, images: np.ndarray, *, batch: int = 64) -> Tensor:
    """`function(x)` for stored images (N, 1, H, W) uint8 in the model's own arithmetic, joined over batches."""
    dtype = next(model.parameters()).dtype
    return torch.cat([function(torch.from_numpy(images[i : i + batch]).to(dtype)) for i in range(0, len(images), batch)])


@torch.no_grad()
def calibrate(model: Calibrated, data: LabelledImages) -> None:
    """Fit the buffers of a two-class network; training images serve for the typical log-odds alone, test images for nothing.

    Probability: logistic regression of the label on the log-odds (Platt 1999). Operating point: Youden's. Scope: the Mahalanobis distance of the
    likelihood's terms from their validation mean, so that images *more* likely than any radiograph count as foreign too (typicality, Nalisnick et al.
    2019, 1906.02994); its threshold is the 99th percentile on validation images.
    """
    odds = _odds(model, data.validation.images)
    scale = odds.std().item()
    # The ridge is weak; without it, validation labels that separate would make every probability 0 or 1.
    fit = LogisticRegression(C=10.0, tol=1e-8, max_iter=1000).fit(odds.numpy()[:, None] / scale, data.validation.labels)
    slope, intercept = float(fit.coef_[0, 0]) / scale, float(fit.intercept_[0])
    model.temperature_inverse.fill_(slope)
    model.prior.copy_(torch.tensor([0.0, intercept]))
    threshold = youden_threshold(data.validation.labels, torch.sigmoid(slope * odds + intercept).numpy())
    model.decision_logit.fill_(math.log(threshold / (1 - threshold)))
    if isinstance(model, Classifier):
        training, labels = _odds(model, data.train.images), torch.from_numpy(data.train.labels)
        model.typical_odds.copy_(torch.stack([training[labels == k].median() for k in (0, 1)]))
        _fit_scope(model, data.validation.images)


def _odds(model: Calibrated, images: np.ndarray) -> Tensor:
    logits = in_batches(model.logits, model, images)
    return logits[:, 1] - logits[:, 0]


def _fit_scope(model: Classifier, images: np.ndarray) -> None:
    terms = in_batches(lambda x: model.likelihood_terms(x)[0], model, images).double()
    whitening = torch.linalg.inv(torch.linalg.cholesky(torch.cov(terms.T)))
    model.scope_centre.copy_(terms.mean(0))
    model.scope_whitening.copy_(whitening)
    distances = ((terms - terms.mean(0)) @ whitening.T).norm(dim=1)
    model.scope_threshold.fill_(distances.quantile(SCOPE_QUANTILE).item())
