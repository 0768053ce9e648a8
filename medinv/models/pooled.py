"""The invertible classifier without a density: a linear head on what its last level pools.

The trunk: convolutions, norms and activations of bounded slope, halved by Haar and widened once at
the start.

    grey levels -> fixed scaling -> Haar -> widening -> level -> Haar -> (kept: level -> ..., rest)

What an ordinary network throws away when it narrows goes around the later levels here, untouched,
so that the latent holds the whole image. Its ordinary counterpart, for comparison, is `PooledTwin`.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from medinv.config import Config, PooledConfig, PooledTwinConfig
from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    Bypass,
    Chain,
    ChannelPadding,
    FrozenNorm,
    Haar,
    Haar3d,
    InjectiveConv2d,
    Invertible,
    InvertibleBatchNorm,
    InvertibleConv2d,
    InvertibleConv3d,
    LeakyReLU,
    OnVolumes,
)
from medinv.models.base import (
    SCOPE_QUANTILE,
    Calibrated,
    InvertibleNetwork,
    Kind,
    Reading,
    ScopeScore,
    in_batches,
    label_loss,
)
from medinv.models.penalty import Conditioning
from medinv.models.whitening import Whitening

LEAST_SPREAD = 1e-6  # of a feature, relative to the mean variance: a dead one is no distance


class PooledClassifier(InvertibleNetwork):
    """Images (N, C, *size) in grey levels -> features, from which the image comes back, and logits.

    The first `coarse` channels of the features are the last level; their spatial means are what the
    head sees. The trunk widens, hence is left-invertible: `invert(features(x)) = x`, while features
    that no image has are projected. Its scope is the distance of those means from the nearest mean
    of a class, by the covariance that the classes share (Lee et al. 2018, 1807.03888).
    """

    added = frozenset({"typical_odds", "scope_threshold", "scope_means", "scope_whitening"})
    scope_means: Tensor  # (K, coarse)
    scope_whitening: Tensor  # (coarse, coarse)

    def __init__(
        self, trunk: Chain, image_shape: tuple[int, ...], coarse: int, classes: tuple[str, ...]
    ):
        super().__init__(trunk, image_shape, classes)
        self.coarse = coarse
        self.head = nn.Linear(coarse, len(classes))
        self.register_buffer("scope_means", torch.zeros(len(classes), coarse))
        self.register_buffer("scope_whitening", torch.eye(coarse))

    def pooled(self, z: Tensor) -> Tensor:
        """The means (N, coarse) of the deciding channels of features: what the head sees."""
        return z[:, : self.coarse].flatten(2).mean(2)

    def logits_of(self, z: Tensor) -> Tensor:
        """Logits of features: linear in the means of the deciding channels."""
        return self.head(self.pooled(z))

    def read(self, x: Tensor, *, scope: bool | None = None) -> Reading:
        """What one forward pass says of images (N, C, *size) in grey levels. Raises ShapeError."""
        z = self.features(x)
        pooled = self.pooled(z)
        logits = self.head(pooled)
        wanted = self.has_scope if scope is None else scope
        distance = self.distance(pooled) if wanted else None
        return Reading(z, logits, self.calibrated(logits).softmax(1), distance)

    def distance(self, pooled: Tensor) -> Tensor:
        """Mahalanobis distance (N,) of what the head sees from the nearest class mean."""
        apart = (pooled[:, None] - self.scope_means) @ self.scope_whitening.T
        return torch.linalg.vector_norm(apart, dim=2).amin(1)

    @property
    def class_weights(self) -> nn.Parameter:
        """The rows of the head (K, coarse)."""
        return cast(nn.Parameter, self.head.weight)

    def odds_terms(self, coarse: Tensor, towards: int, against: int) -> tuple[Tensor, Tensor]:
        """The head is linear: each place carries its part of the mean; the bias none does."""
        terms = self.class_direction(towards, against, coarse) * coarse
        return terms, self.head.bias[towards] - self.head.bias[against]

    def class_direction(self, towards: int, against: int, coarse: Tensor) -> Tensor:
        """The difference of the head's rows, the same at every place (coarse, *size)."""
        row = (self.head.weight[towards] - self.head.weight[against]) / coarse[0, 0].numel()
        return row.reshape(-1, *[1] * (coarse.ndim - 2)).expand(coarse.shape[1:])


def image_trunk(model: PooledConfig) -> Chain:
    """The trunk for images; level i has `depths[i]` convolutions of `hidden[i]` channels.

    Raises ConfigError where the widths do not fit.
    """
    channels = 4 * model.channels
    widening = _widening(channels, model)
    return Chain(
        FrozenNorm([model.mean] * model.channels, [model.std] * model.channels),
        Haar(),
        *([Whitening(channels)] if model.whiten else []),
        *widening,
        *_level(0, model),
    )


def volume_trunk(model: PooledConfig) -> Chain:
    """The trunk for volumes: level i has `depths[i]` convolutions of 8^(i + 1) channels a channel.

    Raises ConfigError where `hidden` says otherwise: volumes are neither widened nor narrowed.
    """
    channels = model.channels
    scaling = FrozenNorm([model.mean] * channels, [model.std] * channels)
    layers: list[Invertible] = [OnVolumes(scaling)]
    for depth, width in zip(model.depths, model.hidden, strict=True):
        channels *= 8
        if width != channels:
            raise ConfigError(
                "model.hidden must grow eightfold a level for volumes, "
                f"here {channels}; got {width}"
            )
        layers.append(Haar3d())
        for _ in range(depth):
            layers.append(InvertibleConv3d(width, padding=model.padding))
            layers += [OnVolumes(norm) for norm in _norm(width, model)]
            layers.append(LeakyReLU(model.slope))
    return Chain(*layers)


def _widening(channels: int, model: PooledConfig) -> list[Invertible]:
    width = model.hidden[0]
    if width == channels:
        return []
    if model.widening == "zeros":
        return [ChannelPadding(channels, width - channels)]
    if width % channels:
        raise ConfigError(
            f"model.hidden must begin with a multiple of {channels}, the channels after the first "
            f"halving; got {width}"
        )
    return [InjectiveConv2d(channels, width // channels), *_norm_and_bend(width, model)]


def _level(index: int, model: PooledConfig) -> list[Invertible]:
    width, layers = model.hidden[index], list[Invertible]()
    for _ in range(model.depths[index]):
        conv = InvertibleConv2d(width, padding=model.padding)
        if model.padding == "circular":
            _spread(conv)
        layers += [conv, *_norm_and_bend(width, model)]
    if index + 1 == len(model.depths):
        return layers
    kept = model.hidden[index + 1]
    if kept > 4 * width:
        raise ConfigError(
            f"model.hidden may grow fourfold from level to level, to {4 * width} after {width}; "
            f"got {kept}"
        )
    inner = _level(index + 1, model)
    if kept < 4 * width:
        inner = [Bypass(4 * width, kept, Chain(*inner), len(model.depths) - 2 - index)]
    return [*layers, Haar(), *inner]


def _norm_and_bend(width: int, model: PooledConfig) -> list[Invertible]:
    return [*_norm(width, model), LeakyReLU(model.slope)]


def _norm(width: int, model: PooledConfig) -> list[Invertible]:
    norms = {"batch": InvertibleBatchNorm, "act": ActNorm}
    return [] if model.norm == "none" else [norms[model.norm](width)]


@torch.no_grad()
def _spread(conv: InvertibleConv2d) -> None:
    """Start as Q2 T Q1: random rotations around random shifts by one of the kernel's taps.

    This is an isometry that looks everywhere. The layer's own start, a rotation at the centre, sees
    one pixel and learns more slowly; other paddings need it, since shifts lose the edge.
    """
    width, taps = conv.channels, conv.weight[0, 0].numel()
    first, second = (nn.init.orthogonal_(torch.empty(width, width)) for _ in range(2))
    chosen = torch.randint(taps, (width,))
    kernels = [second[:, chosen == tap] @ first[chosen == tap] for tap in range(taps)]
    conv.weight.copy_(torch.stack(kernels, -1).reshape(conv.weight.shape))


def _build(model: PooledConfig, image_shape: tuple[int, ...]) -> PooledClassifier:
    trunk = image_trunk(model) if model.axes == 2 else volume_trunk(model)
    return PooledClassifier(trunk, image_shape, model.hidden[-1], model.classes)


@torch.no_grad()
def _start(
    network: PooledClassifier, images: np.ndarray, labels: np.ndarray, config: Config
) -> None:
    """The norms, from the first images."""
    some = torch.tensor(images[: config.train.batch]).float()
    network.trunk.initialise(some.to(network.head.weight.device))


@torch.no_grad()
def _fit(
    network: PooledClassifier, images: np.ndarray, labels: np.ndarray, validation: np.ndarray
) -> None:
    """Typical log-odds, and the scope, bounded by the same quantile as that of densities.

    The covariance is shrunk as far as the number of images asks for (Ledoit and Wolf 2004).
    """
    from sklearn.covariance import ledoit_wolf

    seen = in_batches(lambda x: network.pooled(network.features(x)), network, images).double()
    targets = torch.from_numpy(labels)
    network.fit_typical_odds(network.head(seen.to(network.head.weight)).cpu(), targets)
    means = torch.stack([seen[targets == k].mean(0) for k in range(len(network.classes))])
    covariance = torch.from_numpy(ledoit_wolf((seen - means[targets]).numpy())[0])
    covariance += LEAST_SPREAD * covariance.diagonal().mean() * torch.eye(len(covariance))
    network.scope_means.copy_(means)
    network.scope_whitening.copy_(torch.linalg.inv(torch.linalg.cholesky(covariance)))
    others = in_batches(
        lambda x: network.distance(network.pooled(network.features(x))), network, validation
    )
    network.scope_threshold.fill_(others.quantile(SCOPE_QUANTILE).item())


def _scope(network: PooledClassifier) -> ScopeScore:
    return ScopeScore(
        f"Mahalanobis distance of {network.coarse} pooled features from the nearest class mean; "
        f"bound: quantile {SCOPE_QUANTILE} of validation images",
        network.scope_threshold.item(),
        lambda x: network.distance(network.pooled(network.features(x))),
    )


POOLED = Kind(
    PooledConfig,
    _build,
    label_loss,
    start=_start,
    fit=_fit,
    after_step=Conditioning,
    scope=_scope,
    invertible=True,
)


class PooledTwin(Calibrated):
    """The ordinary network of a pooled classifier; what narrows is thrown away.

    Images (N, C, *size) in grey levels -> logits (N, K): zero-padded convolutions of three taps an
    axis, batch normalisation, ReLU. Widths, depth, number of parameters and halvings are those of
    `image_trunk`.
    """

    def __init__(self, model: PooledTwinConfig):
        super().__init__(model.classes)
        self.mean, self.std = model.mean, model.std
        halve, axes = (Haar, 2) if model.axes == 2 else (Haar3d, 3)
        channels = 2**axes * model.channels
        layers: list[nn.Module] = [
            halve(),
            *([Whitening(channels)] if model.whiten else []),
            *_block(channels, model.hidden[0], axes),
        ]
        for level, (depth, width) in enumerate(zip(model.depths, model.hidden, strict=True)):
            layers += [halve(), _Narrow(width)] if level else []
            for _ in range(depth):
                layers += _block(width, width, axes)
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(model.hidden[-1], len(model.classes))

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, C)."""
        return self.body((x - self.mean) / self.std).flatten(2).mean(2)

    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of images (N, C, H, W) in grey levels."""
        return self.head(self.features(x))


class _Narrow(nn.Module):
    """Keep the first `width` channels."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.width]


def _block(channels: int, width: int, axes: int) -> list[nn.Module]:
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
    conv = convolution(channels, width, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return [conv, norm(width), nn.ReLU()]


@torch.no_grad()
def _start_twin(
    network: PooledTwin, images: np.ndarray, labels: np.ndarray, config: Config
) -> None:
    """What whitens, from the first images, as the pooled classifier's."""
    some = torch.tensor(images[: config.train.batch]).float().to(network.head.weight.device)
    for index, layer in enumerate(network.body):
        if isinstance(layer, Whitening):
            layer.initialise(network.body[:index]((some - network.mean) / network.std))


POOLED_TWIN = Kind(
    PooledTwinConfig,
    lambda model, image_shape: PooledTwin(model),
    label_loss,
    start=_start_twin,
)
