"""The invertible classifier without a density: a trunk that loses nothing and a linear head on what its last level pools."""

import torch
from torch import Tensor, nn

from medinv.layers import Chain
from medinv.models.base import InvertibleNetwork


class PooledClassifier(InvertibleNetwork):
    """Images (N, C, *size) in grey levels -> features, from which the image comes back, and logits.

    The first `coarse` channels of the features are the last level; their spatial means are what the head sees. The trunk widens, hence is
    left-invertible: `invert(features(x)) = x`, while features that no image has are projected.
    """

    def __init__(
        self, trunk: Chain, image_shape: tuple[int, ...], coarse: int, classes: tuple[str, ...]
    ):
        super().__init__(trunk, image_shape, classes)
        self.coarse = coarse
        self.head = nn.Linear(coarse, len(classes))

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: linear in the means of the deciding channels."""
        return self.head(z[:, : self.coarse].flatten(2).mean(2))
