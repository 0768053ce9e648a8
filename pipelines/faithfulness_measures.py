"""What faithfulness.py measures of maps, and its intervals. Maps and masks are (N, H, W)."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor

from medinv.explain.controls import sham_head
from medinv.models.build import build
from medinv.models.classifier import Classifier

FRACTIONS = (0.02, 0.05, 0.1, 0.2)
RESAMPLES = 1000


def localisation(map_: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Pixel AUROC, pointing game and IoU at the mask's own area of one image."""
    values, truth = map_.ravel(), mask.ravel()
    hits = truth[np.argsort(-values, kind="stable")[: truth.sum()]].sum()
    return {"auroc": float(roc_auc_score(truth, values)), "pointing": float(truth[values.argmax()]), "iou": float(hits / (2 * truth.sum() - hits))}


def share_on(map_: np.ndarray, mask: np.ndarray) -> float:
    """Share of what speaks for the finding that lies on the mask."""
    towards = map_.clip(0)
    return float(towards[mask].sum() / max(towards.sum(), 1e-12))


@torch.no_grad()
def curves(model: Classifier, x: Tensor, maps: np.ndarray, empty: Tensor) -> list[dict[str, float]]:
    """By image: the whole change of the log-odds from x to `empty`, and the mean over FRACTIONS of how much of it goes when the pixels ranked highest are
    replaced by those of `empty` (deletion) and of how much is back when they alone are x's (insertion)."""
    order = torch.from_numpy(maps.copy()).flatten(1).argsort(1, descending=True)
    tops = [torch.zeros_like(x).flatten(1).scatter_(1, order[:, : int(f * order.shape[1])], 1.0).view_as(x) for f in FRACTIONS]
    mixed = torch.cat([x, empty, *(x * (1 - top) + empty * top for top in tops), *(x * top + empty * (1 - top) for top in tops)])
    full, none, *rest = model.log_odds(model.logits(mixed)).split(len(x))
    deleted, inserted = (torch.stack(part).mean(0) for part in (rest[: len(FRACTIONS)], rest[len(FRACTIONS) :]))
    return [
        {"whole": w, "deletion": d, "insertion": i}
        for w, d, i in zip((full - none).tolist(), (full - deleted).tolist(), (inserted - none).tolist(), strict=True)
    ]  # fmt: skip


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; 0 where a map is constant."""
    return float(np.nan_to_num(spearmanr(first.ravel(), second.ravel()).statistic))


@torch.no_grad()
def cascade(model: Classifier, images: Tensor) -> Iterator[tuple[str, Classifier]]:
    """Copies with more and more random weights, from the head down (Adebayo et al. 2018, 1810.03292). Norms take their statistics from `images`, as training
    does; what begins as the identity in training does so here."""
    torch.manual_seed(1)
    fresh, changed = build(model.card.config).to(images.dtype), sham_head(model, seed=1)
    yield "head", changed
    levels = changed.levels
    for number in reversed(range(len(levels.levels))):
        changed = deepcopy(changed)
        levels = changed.levels
        levels.levels[number] = deepcopy(fresh.levels.levels[number])
        state = changed.trunk.layers[0](images)
        for index, (level, kept) in enumerate(zip(levels.levels, (*levels.keep, None))):
            out = level.initialise(state) if index == number else level(state)
            state = out if kept is None else out[:, :kept]
        yield f"head and levels {number + 1} to {len(levels.levels)}" if number else "all", changed.eval()


def interval(values: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % interval over resampled images; with `weights` (N,) the ratio of sums sum(values) / sum(weights)."""
    values = np.asarray(values, float)
    if not len(values):
        return (np.nan,) * 3
    below = np.ones_like(values) if weights is None else np.asarray(weights, float)
    rows = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    drawn = values[rows].sum(1) / below[rows].sum(1)
    return float(values.sum() / below.sum()), *(float(v) for v in np.percentile(drawn, [2.5, 97.5]))
