"""Published networks: as large as published, and scattering as harmless as proven."""

import json

import pytest
import torch

from medinv.config import load_config
from medinv.models.baselines import lenet, mobilenet_v2
from medinv.models.build import build
from medinv.models.scattering import Scattering


def _count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_published_numbers_of_parameters() -> None:
    assert _count(mobilenet_v2(3, 224, 1000)) == 3_504_872
    assert _count(lenet(1, 28, 10)) == 61_706


@pytest.mark.parametrize("kind", ["resnet18", "mobilenetv2", "lenet", "scattering"])
@pytest.mark.parametrize("name", ["cifar10", "breastmnist"])
def test_every_baseline_learns_from_the_images_of_a_configuration(configs, name, kind) -> None:
    given = load_config(configs / f"{name}.yaml").model
    common = ("channels", "classes", "mean", "std")
    model = {"kind": kind, **given.model_dump(mode="json", include=set(common))}
    overrides = (f"model={json.dumps(model)}", "train={epochs: 1}")
    config = load_config(configs / f"{name}.yaml", overrides)
    model = build(config)
    x = torch.randint(
        0, 256, (2, config.model.channels, config.data.size, config.data.size)
    ).float()
    logits = model.logits(x)
    assert logits.shape == (2, len(config.model.classes))
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(("size", "scales"), [(32, 2), (28, 2), (32, 3)])
def test_scattering_is_a_frame_and_brings_no_two_images_further_apart(size, scales) -> None:
    scattering = Scattering(size, scales=scales, orientations=8).double()
    low, high = scattering.frame_bounds()
    assert 0 < low < high <= 1 + 1e-6
    torch.manual_seed(0)
    x = torch.randn(6, 1, size, size, dtype=torch.float64)
    for y in (
        torch.randn_like(x),
        x + 1e-3 * torch.randn_like(x),
        x.roll(1, 3),
        torch.zeros_like(x),
        x.mean((2, 3), keepdim=True).expand_as(x),
    ):
        assert (
            (scattering(x) - scattering(y)).flatten(1).norm(dim=1)
            <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-9)
        ).all()


def test_scattering_hardly_moves_where_an_image_moves_by_a_pixel() -> None:
    scattering = Scattering(32, scales=3, orientations=8).double()
    x = torch.randn(4, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = (scattering(x.roll(1, 3)) - scattering(x)).norm() / scattering(x).norm()
    assert moved < 0.3 and (x.roll(1, 3) - x).norm() / x.norm() > 1.2
    assert scattering(x).shape == (4, 1 + 24 + 192, 4, 4)
