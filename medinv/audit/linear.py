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
from medinv.audit.estimates import auc
from medinv.metrics import Estimate

SIDE, DEPTH = 32, 8  # to which images are reduced, in the plane and along volumes
RIDGE = 0.01  # inverse strength of the penalty: features are many and alike
BINS = 8  # of a column of numbers
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
    return auc(asked[1], np.asarray(scores), asked[2])


def told_by_column(
    fitted: tuple[NDArray, NDArray], asked: tuple[NDArray, NDArray, NDArray], classes: int
) -> Estimate:
    """AUC of the classes' frequencies among training images of the same value of a column.

    As `told_by`, with the values of the column (n,) for features. Numbers are taken by eighths.
    """
    values, asked_values = groups(fitted[0], fitted[0]), groups(fitted[0], asked[0])
    overall = np.bincount(fitted[1], minlength=classes) / len(values)
    table = {}
    for value in np.unique(values):
        inside = fitted[1][values == value]
        if len(inside) >= FEWEST:
            counts = np.bincount(inside, minlength=classes)
            table[value] = (counts + overall) / (len(inside) + 1)
    scores = np.stack([table.get(value, overall) for value in asked_values])
    return auc(asked[1], scores[:, 1] if classes == 2 else scores, asked[2])


def groups(reference: NDArray, values: NDArray) -> NDArray:
    """Values of a column as words; numbers by bounds that fill BINS with `reference` evenly."""
    numbers = _numbers(reference)
    if numbers is None or len(np.unique(numbers[~np.isnan(numbers)])) <= BINS:
        return values.astype(str)
    bounds = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    own = _numbers(values)
    if own is None:
        return values.astype(str)
    ends = ["", *(f"{bound:g}" for bound in bounds), ""]
    names = np.array([_between(ends[k], ends[k + 1]) for k in range(len(bounds) + 1)])
    return np.where(np.isnan(own), "", names[np.searchsorted(bounds, own, side="right")])


def _between(low: str, high: str) -> str:
    if not low:
        return f"below {high}"
    return f"{low} to below {high}" if high else f"from {low}"


def _numbers(values: NDArray) -> NDArray | None:
    """As numbers, NaN where empty; None where one is a word."""
    try:
        return np.array([float(v) if str(v).strip() else np.nan for v in values])
    except ValueError:
        return None


def _reduced(images: Tensor) -> Tensor:
    height, width = (min(side, SIDE) for side in images.shape[-2:])
    if images.ndim == 5:
        return F.adaptive_avg_pool3d(images, (min(images.shape[2], DEPTH), height, width))
    return F.adaptive_avg_pool2d(images, (height, width))
