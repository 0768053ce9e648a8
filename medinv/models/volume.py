"""What a trunk of volumes (N, C, D, H, W) needs beside InvertibleConv3d: halving in three directions, and the layers of images that act channel by channel."""

import itertools

import torch
from torch import Tensor

from medinv.config import ModelConfig
from medinv.errors import ConfigError, ShapeError
from medinv.layers import (
    ActNorm,
    Chain,
    FrozenNorm,
    Invertible,
    InvertibleBatchNorm,
    InvertibleConv3d,
    LeakyReLU,
)


class HaarVolume(Invertible):
    """One level of the orthonormal Haar transform of volumes, (N, C, D, H, W) -> (N, 8C, D/2, H/2, W/2); the C averages come first. Exact in algebra."""

    isometric = True

    def __init__(self):
        super().__init__()
        line = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        rows = [
            torch.einsum("a,b,c->abc", *(line[i] for i in which)).flatten()
            for which in itertools.product((0, 1), repeat=3)
        ]
        self.register_buffer(
            "signs", torch.stack(rows), persistent=False
        )  # whole numbers, so that the basis is as exact as the images' type

    @property
    def basis(self) -> Tensor:
        """(8, 8) orthonormal."""
        return self.signs * 8**-0.5

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 5 or any(side % 2 for side in x.shape[2:]):
            raise ShapeError(
                f"HaarVolume expects volumes (N, C, D, H, W) of even sides; got {tuple(x.shape)}"
            )
        n, c, d, h, w = x.shape
        blocks = (
            x.reshape(n, c, d // 2, 2, h // 2, 2, w // 2, 2)
            .permute(0, 1, 3, 5, 7, 2, 4, 6)
            .reshape(n, c, 8, -1)
        )
        return torch.einsum("jk,nckv->njcv", self.basis, blocks).reshape(
            n, 8 * c, d // 2, h // 2, w // 2
        )

    def inverse(self, y: Tensor) -> Tensor:
        n, c, d, h, w = y.shape
        blocks = torch.einsum("jk,njcv->nckv", self.basis, y.reshape(n, 8, c // 8, -1)).reshape(
            n, c // 8, 2, 2, 2, d, h, w
        )
        return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, c // 8, 2 * d, 2 * h, 2 * w)

    def log_det(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0])


class OnVolumes(Invertible):
    """A layer of images that treats every place alike, on volumes: slices are laid below one another, (N, C, D, H, W) as (N, C, D H, W)."""

    def __init__(self, layer: Invertible):
        super().__init__()
        self.layer = layer
        self.isometric = layer.isometric

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(2, 3)).unflatten(2, x.shape[2:4])

    def inverse(self, y: Tensor) -> Tensor:
        return self.layer.inverse(y.flatten(2, 3)).unflatten(2, y.shape[2:4])

    def log_det(self, x: Tensor) -> Tensor:
        return self.layer.log_det(x.flatten(2, 3))

    def initialise(self, x: Tensor) -> Tensor:
        return self.layer.initialise(x.flatten(2, 3)).unflatten(2, x.shape[2:4])


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
        layers.append(HaarVolume())
        for _ in range(depth):
            norm = InvertibleBatchNorm(width) if model.norm == "batch" else ActNorm(width)
            layers += [
                InvertibleConv3d(width, padding=model.padding),
                OnVolumes(norm),
                LeakyReLU(model.slope),
            ]
    return Chain(*layers)
