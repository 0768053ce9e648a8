"""A local counterfactual towards the negative class: without the part that the answer comes from.

The part is where the evidence map is high, with a margin around it, since what shows at a place
also shades into its surroundings: the smallest such part after which the model answers about as
clearly as for a median image of the negative class (`Extent.share`). It is filled with what belongs
there given all the rest of this image (`medinv.models.expectation`). So the model says where and
how much; what is put there comes from training images of the negative class and from the image's
own surroundings.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter
from torch import Tensor

from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.local import FEATHER, SHARPENED
from medinv.explanation.result import Counterfactual, LocalEvidence
from medinv.explanation.trunk import Asked, decision, typical, uncalibrated
from medinv.models.expectation import Expectation

SIDE = 64  # of the images on which lengths were chosen, pixels


@dataclass(frozen=True)
class Extent:
    """How much is filled in.

    Chosen on validation phantoms of the shipped phantom model (pipelines/counterfactuals/run.py);
    `share` on discs planted in validation films (pipelines/radiographs/shares.py).
    """

    levels: tuple[float, ...] = (0.5, 0.25, 0.15, 0.1, 0.05, 0.03)
    """Of the strongest evidence: pixels of that much and more; tried in this order."""
    margin: int = 6  # around them, pixels of an image of 64
    share: float = 0.7
    """Of the target's typical log-odds, to be reached: asked for more, more is filled in than the
    finding, and other networks believe it no more often."""


@torch.no_grad()
def inpaint(
    model: Asked,
    expectation: Expectation,
    x: Tensor,
    evidence: NDArray,
    *,
    extent: Extent = Extent(),
) -> Tensor:
    """The image `x` (1, 1, H, W) with the smallest part of `evidence` filled in that suffices.

    evidence: (H, W), log-odds of the positive class a pixel. What suffices reaches the log-odds
    asked for; where no part does, the one that comes nearest is filled in. Tried as stored,
    returned before rounding and clipping.
    """
    margin = max(1, round(extent.margin * evidence.shape[-1] / SIDE))
    regions = np.stack([region(evidence, level, margin) for level in extent.levels])
    masks = torch.from_numpy(regions).to(x)[:, None]
    tried = expectation.fill(x.expand(len(masks), -1, -1, -1), masks)
    z = model.features(tried.clamp(0, 255).round())
    odds = uncalibrated(model, z)
    reached = (odds <= extent.share * typical(model, 0)) & (
        decision(model, z) < model.decision_logit
    )
    chosen = int(reached.int().argmax() if reached.any() else odds.argmin())
    return tried[chosen : chosen + 1]


def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual | None:
    """The same encoded, decoded and classified anew.

    None towards the positive class, without local evidence, and where the model's reference does
    not say what belongs in a part of an image.
    """
    if target or not local or not model.reference or not model.reference.expectation:
        return None
    edited = inpaint(model, model.reference.expectation, x, local.locations)
    return from_image(model, x, target, edited, "inpainting")


def region(evidence: NDArray, level: float, margin: int) -> NDArray:
    """(H, W) from 0 to 1: the strongest evidence for the positive class, with a soft edge.

    The pixels of at least `level` times the strongest, and `margin` pixels around.
    """
    around = binary_dilation(evidence >= level * evidence.max(), iterations=margin)
    return np.clip(SHARPENED * gaussian_filter(around.astype(float), FEATHER, mode="nearest"), 0, 1)
