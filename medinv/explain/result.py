"""What an explanation is: plain arrays with the figures that say how far they can be trusted.

Grey levels are those of the network's input (0 to 255); images are (H, W). Every result carries the residual of the identity it claims.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reconstruction:
    """The input decoded from the features."""

    image: np.ndarray  # (H, W) decoded grey levels, before rounding
    exact: bool  # every stored value comes back after rounding
    bits: int  # of the stored values
    max_abs_error: float  # grey levels, before rounding
    dtype: str  # arithmetic of the round trip


@dataclass(frozen=True)
class Evidence:
    """The decision as an exact affine map of this image: sum(contributions) + bias = logit."""

    contributions: np.ndarray  # (H, W) log-odds of the positive class, a pixel
    bias: float  # log-odds that no pixel carries
    logit: float  # log-odds that the network computes
    residual: float  # |sum(contributions) + bias - logit|


@dataclass(frozen=True)
class Counterfactual:
    """The image decoded from a latent moved along the class direction until the decision is another."""

    image: np.ndarray  # (H, W) uint8, as stored: clipped to the range and rounded
    difference: np.ndarray  # (H, W) grey levels, counterfactual minus input
    target: str  # class aimed at
    target_logit: float  # log-odds of the positive class aimed at
    logit: float  # log-odds of the positive class when the stored counterfactual is classified anew
    flipped: bool  # the re-check: the stored counterfactual is classified as the target
    in_scope: bool  # the re-check: by its likelihood it is an image of the model's kind
    rms: float  # root mean square of the difference, grey levels
    out_of_range: float  # share of pixels that left 0..255 before clipping
    strip: tuple[np.ndarray, ...]  # (H, W) images on the way from the input to the counterfactual

    @property
    def valid(self) -> bool:
        """Both re-checks hold; only then may it be shown as what would have changed the answer."""
        return self.flipped and self.in_scope


@dataclass(frozen=True)
class Explanation:
    """All that the report shows of one image."""

    reconstruction: Reconstruction
    evidence: Evidence
    counterfactual: Counterfactual
