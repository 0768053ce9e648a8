"""The invertible classifier.

It is a trunk that loses nothing, and a Gaussian a class on its coarse latent. With z = trunk(x),
coarse part c (the channels that stayed to the last level) and the rest r, all of unit variance,

    log p(x | k) = log |det dz/dx| + log N(c; mu_k, I) + log N(r; 0, I),

so that the log-odds of two classes are *linear* in the latent:
log p(x | 1) - log p(x | 0) = (mu_1 - mu_0) . c - (|mu_1|^2 - |mu_0|^2) / 2
(IB-INN, Ardizzone et al. 2020, 2001.06448; ECINN, Hvilshoj et al. 2021, 2103.13701). Moving c along
mu_1 - mu_0 and inverting the trunk gives a counterfactual image. Its ordinary counterpart, for
comparison, is `Twin`.
"""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.config import Config, DensityConfig, DensityTrain, DensityTwinConfig
from medinv.layers import (
    ActNorm,
    AffineCoupling,
    Chain,
    FrozenNorm,
    Haar,
    Invertible,
    InvertibleConv2d,
    Multiscale,
)
from medinv.layers.processes import uniform_like
from medinv.models.base import (
    SCOPE_QUANTILE,
    Calibrated,
    InvertibleNetwork,
    Kind,
    Loss,
    Reading,
    ScopeScore,
    in_batches,
    label_loss,
)

ENOUGH = 10  # images a term, from which on their covariance is taken as it is


class Classifier(InvertibleNetwork):
    """Images (N, C, H, W) in grey levels -> features, class logits, likelihoods.

    `trunk` is a Chain of the fixed scaling and a Multiscale; `means` is (K, C_coarse, h, w).
    Buffers fitted after training: those of every such network, and the centre and whitening of the
    scope.
    """

    scope_centre: Tensor  # (T,)
    scope_whitening: Tensor  # (T, T)

    def __init__(
        self,
        trunk: Chain,
        image_shape: tuple[int, ...],
        means: Tensor,
        classes: tuple[str, ...],
    ):
        super().__init__(trunk, image_shape, classes)
        self.means = nn.Parameter(means)
        self.coarse = means.shape[1]
        with torch.no_grad():
            blank = trunk(torch.zeros(1, *image_shape))
        self.latent_shape = tuple(blank.shape[1:])
        terms = len(self.levels.levels) + 2 * sum(
            part.shape[1] for part in self.levels.split(blank)
        )
        self.register_buffer("scope_centre", torch.zeros(terms))
        self.register_buffer("scope_whitening", torch.eye(terms))

    @property
    def levels(self) -> Multiscale:
        """The trunk after its fixed scaling."""
        return cast(Multiscale, self.trunk.layers[-1])

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: mu_k . c - |mu_k|^2 / 2, (N, K), with c the coarse part."""
        means = self.means.flatten(1)
        return z[:, : self.means.shape[1]].flatten(1) @ means.T - means.square().sum(1) / 2

    @property
    def class_weights(self) -> nn.Parameter:
        """The class means (K, C, h, w)."""
        return self.means

    def odds_terms(self, coarse: Tensor, towards: int, against: int) -> tuple[Tensor, Tensor]:
        """The log-ratio of two Gaussians that share a unit covariance falls apart by value."""
        first, second = self.means[against], self.means[towards]
        terms = (second - first) * coarse - (second.square() - first.square()) / 2
        return terms, coarse.new_zeros(())

    def class_direction(self, towards: int, against: int, coarse: Tensor) -> Tensor:
        """The difference of the class means (C, h, w)."""
        return self.means[towards] - self.means[against]

    def read(self, x: Tensor, *, scope: bool | None = None) -> Reading:
        """What one forward pass says of images (N, C, H, W) in grey levels. Raises ShapeError."""
        wanted = self.has_scope if scope is None else scope
        parts, log_dets = self._parts(x)
        z = self.levels.merge(parts)
        logits = self.logits_of(z)
        shared = (
            sum(log_dets[1:], log_dets[0])
            - z.square().flatten(1).sum(1) / 2
            - z[0].numel() * math.log(2 * math.pi) / 2
        )
        return Reading(
            z,
            logits,
            self.calibrated(logits).softmax(1),
            self._distance(_terms(parts, log_dets)) if wanted else None,
            shared[:, None] + logits,
        )

    def logits_and_terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K), and what log p(x) is made of, (N, T).

        The terms: log-determinant of each level, mean and log-energy of each latent channel.
        """
        parts, log_dets = self._parts(x)
        return self.logits_of(self.levels.merge(parts)), _terms(parts, log_dets)

    def _distance(self, terms: Tensor) -> Tensor:
        return ((terms - self.scope_centre) @ self.scope_whitening.T).norm(dim=1)

    def _parts(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        self._check(x)
        scaling = cast(Invertible, self.trunk.layers[0])
        parts, log_dets = self.levels.parts(scaling(x))
        log_dets[-1] = log_dets[-1] + scaling.log_det(x)
        return parts, log_dets


def _terms(parts: list[Tensor], log_dets: list[Tensor]) -> Tensor:
    means = [part.mean((2, 3)) for part in parts]
    energies = [part.square().mean((2, 3)).log() for part in parts]
    return torch.cat([torch.stack(log_dets, 1), *means, *energies], 1)


def dequantised(images: Tensor) -> Tensor:
    """Grey levels plus U(-0.5, 0.5).

    A density on such reals integrates to the probability of the stored integers (1511.01844).
    """
    return images + uniform_like(images) - 0.5


def _build(model: DensityConfig, image_shape: tuple[int, ...]) -> Classifier:
    channels, levels, keep = image_shape[0], list[Chain](), list[int]()
    for index, (depth, hidden) in enumerate(zip(model.depths, model.hidden, strict=True)):
        last = index == len(model.depths) - 1
        channels *= 4
        levels.append(_level(channels, depth, hidden, model, last))
        if not last:
            channels //= 2
            keep.append(channels)
    sides = tuple(side // 2 ** len(levels) for side in image_shape[1:])
    drawn = (1, 1) if model.uniform_means else sides
    direction = torch.randn(len(model.classes), channels, *drawn).expand(-1, -1, *sides)
    direction = direction - direction.mean(0)
    means = direction * (model.separation / torch.linalg.vector_norm(direction[-1] - direction[0]))
    scaling = FrozenNorm([model.mean] * image_shape[0], [model.std] * image_shape[0])
    return Classifier(Chain(scaling, Multiscale(levels, keep)), image_shape, means, model.classes)


def _level(channels: int, depth: int, hidden: int, model: DensityConfig, last: bool) -> Chain:
    """Haar and `depth` blocks.

    At the end stands the Gaussian of the leaving half given the half that stays: an affine coupling
    by itself.
    """
    layers: list[Invertible] = [Haar()]
    for _ in range(depth):
        conv = InvertibleConv2d(channels, padding=model.padding)
        if model.mixing == "reversal":
            _reverse(conv)
        layers += [ActNorm(channels), conv, AffineCoupling(channels, hidden, clamp=model.clamp)]
    layers.append(ActNorm(channels) if last else AffineCoupling(channels, hidden, clamp=2.0))
    return Chain(*layers)


@torch.no_grad()
def _reverse(conv: InvertibleConv2d) -> None:
    """Start as a reversal of the channels.

    Couplings then move the halves in turn and, after an even number of blocks, the averages stay. A
    random mixture would send half of what is in the averages out at the finest level; the part that
    decides then hardly sees small local findings.
    """
    centre = conv.weight[:, :, 1, 1]
    conv.weight.normal_(std=0.01 / conv.channels**0.5)
    centre += torch.eye(conv.channels).flip(0)


@torch.no_grad()
def _start(network: Classifier, images: np.ndarray, labels: np.ndarray, config: Config) -> None:
    """The prior from all labels, and the norms from some images."""
    network.prior.copy_(torch.from_numpy(np.bincount(labels) / len(labels)).log())
    first = np.random.default_rng(config.seed).permutation(len(labels))[: 4 * config.train.batch]
    some = torch.from_numpy(images[first]).float().to(network.means.device)
    network.trunk.initialise(dequantised(some))


def _loss(
    network: Classifier, images: Tensor, labels: Tensor, recipe: DensityTrain, epoch: int
) -> Loss:
    """-log p(x | y) a dimension, and the cross-entropy of the label by its weight."""
    reading = network.read(dequantised(images), scope=False)
    nll = (
        -cast(Tensor, reading.log_likelihoods).gather(1, labels[:, None]).mean() / images[0].numel()
    )
    cross_entropy = F.cross_entropy(network.calibrated(reading.logits), labels)
    total = nll + _cross_entropy_weight(recipe, epoch) * cross_entropy
    return Loss(total, cross_entropy, nll / math.log(2))


def _cross_entropy_weight(recipe: DensityTrain, epoch: int) -> float:
    """Constant, or falling geometrically over the second half of the epochs.

    Decide first, then make the density right, so that edits decode.
    """
    start, end = recipe.cross_entropy, recipe.cross_entropy_end
    if end is None:
        return start
    half = recipe.epochs / 2
    return start * (end / start) ** max(0.0, (epoch + 1 - half) / half)


@torch.no_grad()
def _fit(
    network: Classifier, images: np.ndarray, labels: np.ndarray, validation: np.ndarray
) -> None:
    """Typical log-odds, and the scope.

    The scope is the Mahalanobis distance of the likelihood's terms from their mean on training
    images, so that images *more* likely than any of those count as foreign too (typicality,
    Nalisnick et al. 2019, 1906.02994); its bound is a quantile of validation images. The means of
    the coarse channels are left out, with a weight of 0: they decide, and lie far out where an
    answer is clear, which raised the bound above images that are foreign.
    """
    logits, terms = _logits_and_terms(network, images)
    network.fit_typical_odds(logits, torch.from_numpy(labels))
    centre = terms.mean(0)
    counted = torch.ones_like(centre).bool()
    counted[len(network.levels.levels) :][: network.coarse] = False
    spread = torch.linalg.cholesky(covariance(terms[:, counted]))
    whitening = torch.zeros_like(network.scope_whitening)
    whitening[counted.outer(counted)] = torch.linalg.inv(spread).flatten()
    network.scope_centre.copy_(centre)
    network.scope_whitening.copy_(whitening)
    others = _logits_and_terms(network, validation)[1]
    distances = ((others - centre) @ whitening.T).norm(dim=1)
    network.scope_threshold.fill_(distances.quantile(SCOPE_QUANTILE).item())


def covariance(terms: Tensor) -> Tensor:
    """The covariance (d, d) of terms (n, d); of few images shrunk, so that it has an inverse.

    Shrunk as Ledoit and Wolf (2004) do, by term in units of its own standard deviation.
    """
    if len(terms) >= ENOUGH * terms.shape[1]:
        return torch.cov(terms.T)
    from sklearn.covariance import (
        ledoit_wolf,
    )  # takes a second to start, and only training needs it

    scale = terms.std(0).clamp_min(1e-12)
    shrunk = ledoit_wolf(((terms - terms.mean(0)) / scale).double().numpy())[0]
    return torch.from_numpy(shrunk).to(terms) * scale * scale[:, None]


def _logits_and_terms(network: Classifier, images: np.ndarray) -> tuple[Tensor, Tensor]:
    both = in_batches(lambda x: torch.cat(network.logits_and_terms(x), 1), network, images)
    return both[:, : len(network.classes)], both[:, len(network.classes) :]


def _scope(network: Classifier) -> ScopeScore:
    return ScopeScore(
        f"Mahalanobis distance of {network.scope_whitening.any(0).sum()} terms of the "
        "log-likelihood; "
        f"bound: quantile {SCOPE_QUANTILE} of validation images",
        network.scope_threshold.item(),
        lambda x: cast(Tensor, network.read(x, scope=True).scope),
    )


DENSITY = Kind(
    DensityConfig,
    _build,
    _loss,
    start=_start,
    fit=_fit,
    scope=_scope,
    invertible=True,
)


class Twin(Calibrated):
    """The ordinary network of the same depth, strided by average pooling.

    Images (N, C, H, W) in grey levels -> logits (N, K). As many zero-padded 3x3 convolutions a
    level as the invertible trunk, each under batch normalisation and ReLU, after the same first
    halving.
    """

    def __init__(self, model: DensityTwinConfig):
        super().__init__(model.classes)
        self.mean, self.std = model.mean, model.std
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels = 4 * model.channels
        for level, (depth, width) in enumerate(zip(model.depths, model.hidden, strict=True)):
            if level:
                layers.append(nn.AvgPool2d(2))
            for _ in range(depth):
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(channels, len(model.classes)))

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, C)."""
        return self.body((x - self.mean) / self.std).mean((2, 3))

    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of images (N, C, H, W) in grey levels."""
        return self.head(self.features(x))


DENSITY_TWIN = Kind(DensityTwinConfig, lambda model, image_shape: Twin(model), label_loss)
