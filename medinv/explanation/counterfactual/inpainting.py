"""A local counterfactual towards the negative class: the image without the part that the answer comes from.

The part is where the evidence map is high, with a margin around it, since what shows at a place also shades into its surroundings: the smallest such part after
which the model answers more clearly than for a usual image of the negative class. It is filled with what belongs there given all the rest of this image
(`medinv.models.expectation`). So the model says where and how much; what is put there comes from training images of the negative class and from the image's
own surroundings.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter
from torch import Tensor

from medinv.explanation.counterfactual.direction import filed
from medinv.explanation.local import FEATHER, SHARPENED
from medinv.explanation.result import Counterfactual
from medinv.models.density import Classifier
from medinv.models.expectation import Expectation


@dataclass(frozen=True)
class Removal:
    """How much. Chosen on validation phantoms of the shipped phantom model (pipelines/counterfactuals/run.py)."""

    levels: tuple[float, ...] = (
        0.5,
        0.25,
        0.15,
        0.1,
        0.05,
        0.03,
    )  # of the strongest evidence: pixels of that much and more; tried in this order
    margin: int = 6  # pixels around them
    share: float = 1.3  # of the target's typical log-odds, to be reached: what just flips leaves what other networks still see


@torch.no_grad()
def removed(
    model: Classifier,
    expectation: Expectation,
    x: Tensor,
    evidence: NDArray,
    *,
    removal: Removal = Removal(),
) -> Tensor:
    """The image `x` (1, 1, H, W) with the smallest part of `evidence` (H, W), log-odds of the positive class a pixel, filled in that reaches the
    log-odds asked for; where none does, with the part that comes nearest to them. Tried as stored, returned before rounding and clipping."""
    regions = torch.from_numpy(
        np.stack([region(evidence, level, removal.margin) for level in removal.levels])
    ).to(x)[:, None]
    tried = expectation.fill(x.expand(len(regions), -1, -1, -1), regions)
    logits = model.logits_of(model.features(tried.clamp(0, 255).round()))
    odds = logits[:, 1] - logits[:, 0]
    reached = (odds <= removal.share * model.typical_odds[0]) & (
        model.log_odds(logits) < model.decision_logit
    )
    chosen = int(reached.int().argmax() if reached.any() else odds.argmin())
    return tried[chosen : chosen + 1]


def removed_counterfactual(
    model: Classifier,
    expectation: Expectation,
    x: Tensor,
    evidence: NDArray,
    *,
    removal: Removal = Removal(),
) -> Counterfactual:
    """The same encoded, decoded and classified anew."""
    return filed(
        model, x, removed(model, expectation, x, evidence, removal=removal), 0, made="removal"
    )


def region(evidence: NDArray, level: float, margin: int) -> NDArray:
    """(H, W) from 0 to 1: the pixels whose evidence for the positive class is at least `level` of the strongest, and `margin` pixels around, with a soft edge."""
    around = binary_dilation(evidence >= level * evidence.max(), iterations=margin)
    return np.clip(SHARPENED * gaussian_filter(around.astype(float), FEATHER, mode="nearest"), 0, 1)
