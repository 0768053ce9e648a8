"""The invertible classifier: a trunk that loses nothing and a Gaussian for each class on its coarse latent.

With z = trunk(x), coarse part c (the channels that stayed to the last level) and the rest r, all of unit variance,

    log p(x | k) = log |det dz/dx| + log N(c; mu_k, I) + log N(r; 0, I),

so that the log-odds of two classes are *linear* in the latent: log p(x | 1) - log p(x | 0) = (mu_1 - mu_0) . c - (|mu_1|^2 - |mu_0|^2) / 2
(IB-INN, Ardizzone et al. 2020, 2001.06448; ECINN, Hvilshoj et al. 2021, 2103.13701). Moving c along mu_1 - mu_0 and inverting the trunk gives a
counterfactual image.
"""

import math

import torch
from torch import Tensor, nn

from medinv.errors import ShapeError
from medinv.layers import Chain, Multiscale


class Classifier(nn.Module):
    """Images (N, C, H, W) in grey levels -> features, class logits, likelihoods.

    `trunk` is a Chain of the fixed scaling and a Multiscale. `means` is (K, C_coarse, h, w). Class probabilities are
    softmax(temperature_inverse * logits + prior), both fitted on validation images.
    """

    def __init__(self, trunk: Chain, image_shape: tuple[int, int, int], means: Tensor, classes: tuple[str, ...]):
        super().__init__()
        self.trunk = trunk
        self.image_shape = image_shape
        self.means = nn.Parameter(means)
        self.classes = classes
        self.register_buffer("temperature_inverse", torch.ones(()))
        self.register_buffer("prior", torch.zeros(len(classes)))

    @property
    def levels(self) -> Multiscale:
        return self.trunk.layers[-1]

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C 4^L, H / 2^L, W / 2^L); its first channels are the coarse part."""
        self._check(x)
        return self.trunk(x)

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`, in grey levels, unrounded."""
        return self.trunk.inverse(z)

    def coarse(self, z: Tensor) -> Tensor:
        """The part of the features that decides, (N, C_coarse, h, w)."""
        return z[:, : self.means.shape[1]]

    def logits(self, x: Tensor) -> Tensor:
        """log p(x | k) up to a constant that the classes share, (N, K)."""
        return self.logits_of(self.features(x))

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: mu_k . c - |mu_k|^2 / 2, (N, K)."""
        means = self.means.flatten(1)
        return self.coarse(z).flatten(1) @ means.T - means.square().sum(1) / 2

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds (N,) of the positive class (the second) of a two-class model."""
        calibrated = self.temperature_inverse * logits + self.prior
        return calibrated[:, 1] - calibrated[:, 0]

    def probabilities(self, x: Tensor) -> Tensor:
        """Calibrated class probabilities (N, K)."""
        return self.probabilities_of(self.logits(x))

    def probabilities_of(self, logits: Tensor) -> Tensor:
        return (self.temperature_inverse * logits + self.prior).softmax(1)

    def log_likelihoods(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | k) in nats for grey-level densities, (N, K), and the logits, (N, K)."""
        self._check(x)
        z, log_det = self.trunk.call_and_log_det(x)
        logits = self.logits_of(z)
        shared = log_det - z.square().flatten(1).sum(1) / 2 - z[0].numel() * math.log(2 * math.pi) / 2
        return shared[:, None] + logits, logits

    def _check(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.image_shape:
            raise ShapeError(f"this model expects images of shape (N, {', '.join(map(str, self.image_shape))}); got {tuple(x.shape)}")
