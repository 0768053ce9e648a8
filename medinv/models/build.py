"""From a configuration to a network: the only place where a name becomes a class."""

import torch
from torch import nn

from medinv.config import Config
from medinv.layers import ActNorm, AffineCoupling, Chain, FrozenNorm, Haar, Invertible, InvertibleConv2d, Multiscale
from medinv.models.classifier import Classifier
from medinv.models.twins import Twin


def build(config: Config) -> Classifier | Twin:
    """The untrained network of a configuration; weights drawn from torch's global generator."""
    model = config.model
    if model.kind == "twin":
        return Twin(model.mean, model.std, model.depths, model.hidden, model.classes)
    return _classifier(config)


def _classifier(config: Config) -> Classifier:
    model, size = config.model, config.data.size
    channels, levels, keep = 1, [], []
    for index, (depth, hidden) in enumerate(zip(model.depths, model.hidden)):
        last = index == len(model.depths) - 1
        channels *= 4
        levels.append(_level(channels, depth, hidden, model.clamp, last))
        if not last:
            channels //= 2
            keep.append(channels)
    side = size // 2 ** len(levels)
    direction = torch.randn(len(model.classes), channels, side, side)
    direction -= direction.mean(0)
    means = direction * (model.separation / torch.linalg.vector_norm(direction[-1] - direction[0]))
    trunk = Chain(FrozenNorm([model.mean], [model.std]), Multiscale(levels, keep))
    return Classifier(trunk, (1, size, size), means, model.classes)


def _level(channels: int, depth: int, hidden: int, clamp: float, last: bool) -> Chain:
    """Haar, `depth` blocks, and at the end the Gaussian of the leaving half given the half that stays: an affine coupling by itself."""
    layers: list[Invertible] = [Haar()]
    for _ in range(depth):
        layers += [ActNorm(channels), InvertibleConv2d(channels), AffineCoupling(channels, hidden, clamp=clamp)]
    layers.append(ActNorm(channels) if last else AffineCoupling(channels, hidden, clamp=2.0))
    return Chain(*layers)
