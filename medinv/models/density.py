"""The invertible classifier: a trunk that loses nothing and a Gaussian for each class on its coarse latent.

With z = trunk(x), coarse part c (the channels that stayed to the last level) and the rest r, all of unit variance,

    log p(x | k) = log |det dz/dx| + log N(c; mu_k, I) + log N(r; 0, I),

so that the log-odds of two classes are *linear* in the latent: log p(x | 1) - log p(x | 0) = (mu_1 - mu_0) . c - (|mu_1|^2 - |mu_0|^2) / 2
(IB-INN, Ardizzone et al. 2020, 2001.06448; ECINN, Hvilshoj et al. 2021, 2103.13701). Moving c along mu_1 - mu_0 and inverting the trunk gives a
counterfactual image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medinv.layers import Chain, Multiscale
from medinv.models.base import InvertibleNetwork


@dataclass(frozen=True)
class Reading:
    """What one forward pass says of N images."""

    features: Tensor  # (N, C 4^L, H / 2^L, W / 2^L)
    logits: Tensor  # (N, K) log p(x | k) up to a constant that the classes share
    probabilities: Tensor  # (N, K) calibrated
    log_likelihoods: Tensor  # (N, K) nats, of the density on grey levels
    scope: Tensor  # (N,) distance of the likelihood's terms from those of images in scope


class Classifier(InvertibleNetwork):
    """Images (N, C, H, W) in grey levels -> features, class logits, likelihoods.

    `trunk` is a Chain of the fixed scaling and a Multiscale; `means` is (K, C_coarse, h, w). Buffers fitted after training (see `calibrate`):
    `typical_odds`, the median uncalibrated log-odds of training images of each class, and the centre, whitening and threshold of the scope.
    """

    means: nn.Parameter
    typical_odds: Tensor  # (K,)
    scope_centre: Tensor
    scope_whitening: Tensor
    scope_threshold: Tensor  # ()

    def __init__(
        self,
        trunk: Chain,
        image_shape: tuple[int, int, int],
        means: Tensor,
        classes: tuple[str, ...],
    ):
        super().__init__(trunk, image_shape, classes)
        self.means = nn.Parameter(means)
        with torch.no_grad():
            blank = trunk(torch.zeros(1, *image_shape))
        self.latent_shape = tuple(blank.shape[1:])
        terms = len(self.levels.levels) + 2 * sum(
            part.shape[1] for part in self.levels.split(blank)
        )
        self.register_buffer("typical_odds", torch.zeros(len(classes)))
        self.register_buffer("scope_centre", torch.zeros(terms))
        self.register_buffer("scope_whitening", torch.eye(terms))
        self.register_buffer("scope_threshold", torch.tensor(math.inf))

    @property
    def levels(self) -> Multiscale:
        return self.trunk.layers[-1]

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: mu_k . c - |mu_k|^2 / 2, (N, K), with c the coarse part."""
        means = self.means.flatten(1)
        return z[:, : self.means.shape[1]].flatten(1) @ means.T - means.square().sum(1) / 2

    def read(self, x: Tensor) -> Reading:
        """All figures of one forward pass."""
        parts, log_dets = self._parts(x)
        z = self.levels.merge(parts)
        logits = self.logits_of(z)
        shared = (
            sum(log_dets)
            - z.square().flatten(1).sum(1) / 2
            - z[0].numel() * math.log(2 * math.pi) / 2
        )
        scope = ((_terms(parts, log_dets) - self.scope_centre) @ self.scope_whitening.T).norm(dim=1)
        return Reading(
            z, logits, self.calibrated(logits).softmax(1), shared[:, None] + logits, scope
        )

    def logits_and_terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K), and what log p(x) is made of, (N, T): the log-determinant of each level, the mean and the log-energy of each latent channel."""
        parts, log_dets = self._parts(x)
        return self.logits_of(self.levels.merge(parts)), _terms(parts, log_dets)

    def _parts(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        self._check(x)
        scaling = self.trunk.layers[0]
        parts, log_dets = self.levels.parts(scaling(x))
        log_dets[-1] = log_dets[-1] + scaling.log_det(x)
        return parts, log_dets


def _terms(parts: list[Tensor], log_dets: list[Tensor]) -> Tensor:
    means = [part.mean((2, 3)) for part in parts]
    energies = [part.square().mean((2, 3)).log() for part in parts]
    return torch.cat([torch.stack(log_dets, 1), *means, *energies], 1)
