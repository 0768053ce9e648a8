"""What faithfulness.py measures of maps, and its intervals. Maps and masks are (N, H, W)."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from medinv.explanation.sanity import sham_head
from medinv.models.build import build
from medinv.models.density import Classifier

FRACTIONS = (0.02, 0.05, 0.1, 0.2)
BLOCK = 8  # pixels a side of the regions that go or come together
RESAMPLES = 1000


def localisation(
    map_: np.ndarray, mask: np.ndarray, elsewhere: np.ndarray | None = None
) -> dict[str, float]:
    """Pixel AUROC, pointing game and IoU at the mask's own area of one image.

    elsewhere: how often a pixel lies on the mask of other images. A map that knows only where masks
    lie in general has a high AUROC; with every pixel off the mask weighted by `elsewhere`
    ("placed") it has 0.5, as in the shuffled AUC of eye tracking
    (Tatler et al. 2005; Zhang et al. 2008).
    """
    values, truth = map_.ravel(), mask.ravel()
    hits = truth[np.argsort(-values, kind="stable")[: truth.sum()]].sum()
    found = {
        "auroc": float(roc_auc_score(truth, values)),
        "pointing": float(truth[values.argmax()]),
        "iou": float(hits / (2 * truth.sum() - hits)),
    }
    if elsewhere is None:
        return found
    return found | {
        "placed": float(
            roc_auc_score(truth, values, sample_weight=np.where(truth, 1.0, elsewhere.ravel()))
        )
    }


def share_on(map_: np.ndarray, mask: np.ndarray) -> float:
    """Share of what speaks for the finding that lies on the mask."""
    towards = map_.clip(0)
    return float(towards[mask].sum() / max(towards.sum(), 1e-12))


@torch.no_grad()
def curves(model: Classifier, x: Tensor, maps: np.ndarray, empty: Tensor) -> list[dict[str, float]]:
    """By image: the whole change of the log-odds from x to `empty`, and the mean over FRACTIONS
    of how much of it goes when the pixels ranked highest are replaced by those of `empty`
    (deletion) and of how much is back when they alone are x's (insertion); the same for
    regions, ranked by their sums.
    """
    pixels = torch.from_numpy(maps.copy()).to(x)[:, None]
    full, none = (model.log_odds(model.logits(images)) for images in (x, empty))
    found = {"whole": full - none}
    for kind, ranked in (("", pixels), ("_regions", F.avg_pool2d(pixels, BLOCK))):
        tops = [F.interpolate(_highest(ranked, share), x.shape[2:]) for share in FRACTIONS]
        mixed = torch.cat(
            [
                *(x * (1 - top) + empty * top for top in tops),
                *(x * top + empty * (1 - top) for top in tops),
            ]
        )
        deleted, inserted = (
            model.log_odds(model.logits(mixed)).view(2, len(FRACTIONS), len(x)).mean(1)
        )
        found |= {f"deletion{kind}": full - deleted, f"insertion{kind}": inserted - none}
    return [{key: values[k].item() for key, values in found.items()} for k in range(len(x))]


def _highest(maps: Tensor, share: float) -> Tensor:
    """1 at the `share` of the places of maps (N, 1, H, W) that are highest,
    of each at least one; 0 elsewhere.
    """
    flat = maps.flatten(1)
    return (
        torch.zeros_like(flat)
        .scatter_(1, flat.argsort(1, descending=True)[:, : max(1, int(share * flat.shape[1]))], 1.0)
        .view_as(maps)
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; 0 where a map is constant."""
    return float(np.nan_to_num(spearmanr(first.ravel(), second.ravel()).statistic))


@torch.no_grad()
def cascade(model: Classifier, images: Tensor) -> Iterator[tuple[str, Classifier]]:
    """Copies with more and more random weights, from the head down
    (Adebayo et al. 2018, 1810.03292). Norms take their statistics from `images`, as training does;
    what begins as the identity in training does so here.
    """
    torch.manual_seed(1)
    fresh, changed = build(model.card.config).to(images.dtype), sham_head(model, seed=1)
    yield "head", changed
    levels = changed.levels
    for number in reversed(range(len(levels.levels))):
        changed = deepcopy(changed)
        levels = changed.levels
        levels.levels[number] = deepcopy(fresh.levels.levels[number])
        state = changed.trunk.layers[0](images)
        for index, (level, kept) in enumerate(
            zip(levels.levels, (*levels.keep, None), strict=True)
        ):
            out = level.initialise(state) if index == number else level(state)
            state = out if kept is None else out[:, :kept]
        yield (
            f"head and levels {number + 1} to {len(levels.levels)}" if number else "all",
            changed.eval(),
        )


def interval(
    values: np.ndarray, weights: np.ndarray | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Mean with its 95 % interval over resampled images; with `weights` (N,)
    the ratio of sums sum(values) / sum(weights).
    """
    values = np.asarray(values, float)
    if not len(values):
        return (np.nan,) * 3
    below = np.ones_like(values) if weights is None else np.asarray(weights, float)
    rows = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    drawn = values[rows].sum(1) / below[rows].sum(1)
    return float(values.sum() / below.sum()), *(float(v) for v in np.percentile(drawn, [2.5, 97.5]))
