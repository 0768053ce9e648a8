"""From a configuration to a network: the only place where a name becomes a class."""

import torch
from torch import nn

from medinv.config import Config, ModelConfig
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
from medinv.models.baselines import baseline
from medinv.models.base import Calibrated
from medinv.models.density import Classifier
from medinv.models.pooled import PooledClassifier
from medinv.models.trunk import image_trunk
from medinv.models.twins import PooledTwin, Twin
from medinv.models.volume import volume_trunk


def build(config: Config) -> Calibrated:
    """The untrained network of a configuration; weights drawn from torch's global generator."""
    model, size = config.model, config.data.size
    if model.kind == "twin":
        return Twin(model.mean, model.std, model.depths, model.hidden, model.classes)
    if model.kind == "pooled":
        trunk = image_trunk(model) if model.axes == 2 else volume_trunk(model)
        return PooledClassifier(
            trunk, (model.channels, *[size] * model.axes), model.hidden[-1], model.classes
        )
    if model.kind == "pooled-twin":
        return PooledTwin(model)
    return _classifier(config) if model.kind == "invertible" else baseline(model, size)


def _classifier(config: Config) -> Classifier:
    model, size = config.model, config.data.size
    channels, levels, keep = 1, [], []
    for index, (depth, hidden) in enumerate(zip(model.depths, model.hidden)):
        last = index == len(model.depths) - 1
        channels *= 4
        levels.append(_level(channels, depth, hidden, model, last))
        if not last:
            channels //= 2
            keep.append(channels)
    side = size // 2 ** len(levels)
    drawn = 1 if model.uniform_means else side
    direction = torch.randn(len(model.classes), channels, drawn, drawn).expand(-1, -1, side, side)
    direction = direction - direction.mean(0)
    means = direction * (model.separation / torch.linalg.vector_norm(direction[-1] - direction[0]))
    trunk = Chain(FrozenNorm([model.mean], [model.std]), Multiscale(levels, keep))
    return Classifier(trunk, (1, size, size), means, model.classes)


def _level(channels: int, depth: int, hidden: int, model: ModelConfig, last: bool) -> Chain:
    """Haar, `depth` blocks, and at the end the Gaussian of the leaving half given the half that stays: an affine coupling by itself."""
    layers: list[Invertible] = [Haar()]
    for _ in range(depth):
        conv = InvertibleConv2d(channels)
        if model.mixing == "exchange":
            _exchange(conv)
        layers += [ActNorm(channels), conv, AffineCoupling(channels, hidden, clamp=model.clamp)]
    layers.append(ActNorm(channels) if last else AffineCoupling(channels, hidden, clamp=2.0))
    return Chain(*layers)


@torch.no_grad()
def _exchange(conv: InvertibleConv2d) -> None:
    """Start as a reversal of the channels, so that couplings move the halves in turn and, after an even number of blocks, the averages stay.

    A random mixture would send half of what is in the averages out at the finest level; the part that decides then hardly sees small local findings.
    """
    centre = conv.weight[:, :, 1, 1]
    conv.weight.normal_(std=0.01 / conv.channels**0.5)
    centre += torch.eye(conv.channels).flip(0)
