"""How much of the label a plain model reads where the answer should not come from.

A logistic regression on the border, on the outline of the region, or on brightness, contrast and
sharpness; the frequencies of the classes by the values of a column. All are fitted on training
images. What they can read, the network may have read.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medinv.audit.changes import border_of
from medinv.data.sets.subgroups import grouped
from medinv.metrics import Estimate, clustered_auc

SIDE, DEPTH = 32, 8  # to which images are reduced, in the plane and along volumes
RIDGE = 0.01  # inverse strength of the penalty: features are many and alike
FEWEST = 5  # training images of a value; rarer ones are taken together


def border_features(images: Tensor) -> NDArray:
    """The pixels of the border (N, F) of images (N, C, *size), reduced."""
    small = _reduced(images)
    inside = border_of(small.shape[2:]).bool().expand(small.shape[1], *small.shape[2:])
    return small[:, inside].numpy()


def outline_features(masks: Tensor) -> NDArray:
    """The masks (N, 1, *size) themselves, reduced, with their area."""
    return np.concatenate(
        [_reduced(masks).flatten(1).numpy(), masks.flatten(1).mean(1, keepdim=True).numpy()], 1
    )


def plain_features(images: Tensor) -> NDArray:
    """Mean grey level, standard deviation and sharpness, the logarithm of the mean step (N, 3)."""
    flat = images.flatten(1)
    steps = [images.diff(dim=axis).abs().flatten(1).mean(1) for axis in (-2, -1)]
    sharp = (sum(steps, torch.zeros(len(images))) + 0.1).log()
    return torch.stack([flat.mean(1), flat.std(1), sharp], 1).numpy()


def told_by(fitted: tuple[NDArray, NDArray], asked: tuple[NDArray, NDArray, NDArray]) -> Estimate:
    """AUC of a logistic regression on features (n, F).

    fitted: features and labels of training images; asked: features, labels and patients.
    """
    from sklearn.linear_model import LogisticRegression

    features, labels = fitted
    centre, spread = features.mean(0), features.std(0) + 1e-6
    plain = LogisticRegression(C=RIDGE, max_iter=300, tol=1e-3)
    plain.fit((features - centre) / spread, labels)
    scores = plain.decision_function((asked[0] - centre) / spread)
    return clustered_auc(asked[1], np.asarray(scores), asked[2])


def told_by_column(
    column: str,
    fitted: tuple[NDArray, NDArray],
    asked: tuple[NDArray, NDArray, NDArray],
    classes: int,
) -> Estimate:
    """AUC of the classes' frequencies among training images of the same value of a column.

    As `told_by`, with the values of the column (n,) for features, grouped as subgroups are.
    """
    overall = np.bincount(fitted[1], minlength=classes) / len(fitted[1])
    scores = np.tile(overall, (len(asked[1]), 1))
    known = grouped(column, fitted[0], fitted[0])
    for value, rows in grouped(column, asked[0], fitted[0]).items():
        inside = fitted[1][known[value]] if value in known else fitted[1][:0]
        if len(inside) >= FEWEST:
            counts = np.bincount(inside, minlength=classes)
            scores[rows] = (counts + overall) / (len(inside) + 1)
    return clustered_auc(asked[1], scores[:, 1] if classes == 2 else scores, asked[2])


def _reduced(images: Tensor) -> Tensor:
    height, width = (min(side, SIDE) for side in images.shape[-2:])
    if images.ndim == 5:
        return F.adaptive_avg_pool3d(images, (min(images.shape[2], DEPTH), height, width))
    return F.adaptive_avg_pool2d(images, (height, width))
