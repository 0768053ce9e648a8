"""Tiny models whose explanations can be checked against dense linear algebra, and a trained one."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from medinv.explanation.affine import freeze
from medinv.explanation.trunk import last_state
from medinv.layers import Chain, Invertible, InvertibleConv2d, InvertibleConv3d, LeakyReLU
from medinv.models.density import Classifier
from medinv.models.depths import mean_states, steps
from medinv.models.expectation import fit_expectation
from medinv.models.reference import Reference, ReferenceMetadata, principal_axes
from medinv.models.transport import fit_transport


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


freeze.register(Scaling)(lambda layer, x, ground=None: layer)


class Plain(nn.Module):
    """A chain of one channel with two Gaussians on its features, for images and volumes alike."""

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


@pytest.fixture(scope="session")
def reference(tiny_model, tiny_data) -> Reference:
    """What a model keeps of its training images, fitted to those of the tiny model."""
    images = torch.from_numpy(tiny_data.train.images)
    labels = torch.from_numpy(tiny_data.train.labels)
    x = images.double()
    coarse = last_state(tiny_model, x).flatten(1).float()
    direction = (tiny_model.means[1] - tiny_model.means[0]).detach().flatten().float()
    axes = principal_axes(coarse, direction, 4)
    offset, scale = axes @ coarse.mean(0), (coarse @ axes.T).std(0)
    names = [step.name for step in steps(tiny_model.trunk)]
    metadata = ReferenceMetadata(
        weights_sha256="0",
        cases_sha256="0",
        training_set="tiny",
        cases=len(labels),
        axes=4,
        recovered_least_squares=0.2,
        recovered_network=0.1,
        recovered_best_axes=0.5,
        agreement=0.5,
        agreement_chance=0.5,
        rms_nearest=1.0,
        rms_chance=2.0,
        typical_distance=(0.5, 1.0),
    )
    return Reference(
        axes=axes,
        offset=offset,
        scale=scale,
        points=(coarse @ axes.T - offset) / scale,
        labels=labels,
        class_means=torch.stack([x[labels == k].mean(0) for k in (0, 1)]),
        states=mean_states(tiny_model.trunk, [x[labels == 0]], (names[4], names[6])),
        metadata=metadata,
        transport=fit_transport(images.float(), labels, 8),
        expectation=fit_expectation(images.float(), labels, 4),
    )


@pytest.fixture
def explained(tiny_model, tiny_config, reference) -> Classifier:
    """The tiny model with its reference and what its card says, as `load` gives a model."""
    model = deepcopy(tiny_model)
    model.card, model.reference = SimpleNamespace(config=tiny_config), reference
    return model
