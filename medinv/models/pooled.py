"""The invertible classifier without a density: a trunk that loses nothing and a linear head on what its last level pools."""

import torch
from torch import Tensor, nn

from medinv.errors import ShapeError
from medinv.layers import Chain
from medinv.models.calibrated import Calibrated


class PooledClassifier(Calibrated):
    """Images (N, C, *size) in grey levels -> features, from which the image comes back, and logits.

    The first `coarse` channels of the features are the last level; their spatial means are what the head sees. The trunk widens, hence is
    left-invertible: `invert(features(x)) = x`, while features that no image has are projected.
    """

    def __init__(self, trunk: Chain, image_shape: tuple[int, ...], coarse: int, classes: tuple[str, ...]):
        super().__init__(classes)
        self.trunk, self.image_shape, self.coarse = trunk, image_shape, coarse
        self.head = nn.Linear(coarse, len(classes))

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C', *size'); its first `coarse` channels decide."""
        if tuple(x.shape[1:]) != self.image_shape:
            raise ShapeError(f"this model expects images of shape (N, {', '.join(map(str, self.image_shape))}); got {tuple(x.shape)}")
        return self.trunk(x)

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`, in grey levels, unrounded."""
        return self.trunk.inverse(z)

    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K)."""
        return self.logits_of(self.features(x))

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: linear in the means of the deciding channels."""
        return self.head(z[:, : self.coarse].flatten(2).mean(2))
