"""Tiny models of two and three axes whose explanations can be checked against dense linear algebra."""

import pytest
import torch
from torch import Tensor, nn

from medinv.explanation.affine import freeze
from medinv.layers import Chain, Invertible, InvertibleConv2d, InvertibleConv3d, LeakyReLU


class Scaling(Invertible):
    """(x - mean) / std of one channel, for images and volumes alike."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([120.0]))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / 60

    def inverse(self, y: Tensor) -> Tensor:
        return 60 * y + self.mean

    def log_det(self, x: Tensor) -> Tensor:
        return x.new_full((x.shape[0],), -x[0].numel()) * torch.log(x.new_tensor(60.0))


freeze.register(Scaling)(lambda layer, x: layer)


class Plain(nn.Module):
    """A chain of one channel with two Gaussians on its features: the smallest thing that can be explained, for images and volumes alike."""

    classes = ("no", "yes")

    def __init__(self, size: tuple[int, ...], *, affine: bool = False):
        super().__init__()
        torch.manual_seed(3)
        conv = InvertibleConv2d if len(size) == 2 else InvertibleConv3d
        between = [] if affine else [LeakyReLU(0.6)]
        layers = [Scaling(), conv(1), *between, conv(1)]
        for layer in layers:
            if isinstance(layer, conv):
                nn.init.normal_(layer.weight, std=0.05)
                layer.weight.data[(0, 0, *[1] * len(size))] += 1.0
        self.trunk = Chain(*layers)
        self.means = nn.Parameter(torch.randn(2, 1, *size) * 0.3)
        self.register_buffer("decision_logit", torch.tensor(0.2))
        self.double()

    def features(self, x: Tensor) -> Tensor:
        return self.trunk(x)

    def invert(self, z: Tensor) -> Tensor:
        return self.trunk.inverse(z)

    def logits_of(self, z: Tensor) -> Tensor:
        means = self.means.flatten(1)
        return z.flatten(1) @ means.T - means.square().sum(1) / 2

    def log_odds(self, logits: Tensor) -> Tensor:
        return 0.9 * (logits[:, 1] - logits[:, 0]) + 0.1


@pytest.fixture(params=[(8, 8), (4, 6, 6)], ids=["image", "volume"])
def plain(request) -> tuple[Plain, Tensor]:
    """A model and one input, of two and of three axes."""
    generator = torch.Generator().manual_seed(5)
    return Plain(request.param), torch.randint(
        0, 256, (1, 1, *request.param), generator=generator
    ).double()


@pytest.fixture(params=[(8, 8), (4, 6, 6)], ids=["image", "volume"])
def affine(request) -> tuple[Plain, Tensor]:
    """The same without its activation: an affine map."""
    generator = torch.Generator().manual_seed(5)
    return Plain(request.param, affine=True), torch.randint(
        0, 256, (1, 1, *request.param), generator=generator
    ).double()
