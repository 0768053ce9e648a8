"""The trunk of volumes (N, C, D, H, W)."""

from medinv.config import ModelConfig
from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    Chain,
    FrozenNorm,
    Haar3d,
    InvertibleBatchNorm,
    InvertibleConv3d,
    LeakyReLU,
    OnVolumes,
)


def volume_trunk(model: ModelConfig) -> Chain:
    """The trunk of a configuration for volumes: level i, after its halving, has `depths[i]` convolutions of 8^(i + 1) channels an image channel.

    Raises ConfigError where `hidden` says otherwise: volumes are neither widened nor narrowed.
    """
    channels, layers = (
        model.channels,
        [OnVolumes(FrozenNorm([model.mean] * model.channels, [model.std] * model.channels))],
    )
    for depth, width in zip(model.depths, model.hidden):
        channels *= 8
        if width != channels:
            raise ConfigError(
                f"model.hidden must grow eightfold a level for volumes, here {channels}; got {width}"
            )
        layers.append(Haar3d())
        for _ in range(depth):
            norm = InvertibleBatchNorm(width) if model.norm == "batch" else ActNorm(width)
            layers += [
                InvertibleConv3d(width, padding=model.padding),
                OnVolumes(norm),
                LeakyReLU(model.slope),
            ]
    return Chain(*layers)
