"""Classifiers without a density are invertible, and have a twin of their size.

Every value of an image comes back through narrowing and widening, and the twin is their equal in
size.
"""

import numpy as np
import pytest
import torch

from medinv.config import Config, PooledTwinConfig, load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ConfigError
from medinv.layers import Bypass, Chain, Haar3d, InvertibleConv2d
from medinv.layers.linalg.symbol import orthogonality_penalty
from medinv.models.build import build
from medinv.models.penalty import _gradient
from medinv.models.pooled import PooledClassifier
from medinv.models.store import load
from medinv.models.whitening import Whitening
from medinv.training.publish import condition_numbers, exactness, publish
from medinv.training.train import train, validation_auc

SMALL = (
    "model.depths=[1,1,1]",
    "model.hidden=[24,32,48]",
    "train.epochs=2",
    "train.batch=20",
    "train.average=0.5",
    "train.bfloat16=false",
    "train.warmup=0",
)


@pytest.fixture(scope="module")
def config(configs) -> Config:
    return load_config(configs / "cifar10.yaml", SMALL)


@pytest.fixture(scope="module")
def data() -> LabelledImages:
    """Ten kinds of flat colour patches, 16 levels of noise."""
    generator = np.random.default_rng(0)
    colours = generator.integers(40, 216, (10, 3, 1, 1))

    def part(n: int, first: int) -> Part:
        labels = np.arange(n) % 10
        images = colours[labels] + generator.integers(-16, 17, (n, 3, 32, 32))
        return Part(images.astype(np.uint8), labels, first + np.arange(n))

    return LabelledImages(part(60, 0), part(40, 100), part(40, 200))


@pytest.fixture(scope="module")
def trained(config, data) -> PooledClassifier:
    return train(config, data).model.double()


def test_features_hold_every_value_though_the_trunk_narrows(trained, data) -> None:
    x = torch.from_numpy(data.test.images[:8]).double()
    with torch.no_grad():
        assert torch.equal(trained.invert(trained.features(x)).round(), x)
        assert torch.allclose(trained.logits_of(trained.features(x)), trained.logits(x))


def test_what_is_published_is_loaded_with_the_figures_of_more_than_two_classes(
    config, data, tmp_path
) -> None:
    card = publish(tmp_path, train(config, data), config, data, command="test")
    assert (
        set(card.metrics) == {"accuracy", "balanced_accuracy", "auc", "brier", "calibration_error"}
        and card.metrics["accuracy"].value > 0.5
    )
    assert (
        card.operating_point is None
        and card.scope.flagged_in_scope.value < 0.3
        and card.exactness.share_float64 == 1.0
    )
    assert [one.name for one in card.by_class] == list(config.model.classes)
    assert sum(one.images for one in card.by_class) == len(data.test)
    assert card.largest_condition_number == pytest.approx(
        max(condition_numbers(load(tmp_path))), rel=1e-3
    )
    loaded = load(tmp_path, PooledClassifier)
    assert loaded.reference.class_means.shape[0] == len(config.model.classes)
    assert loaded.has_scope and loaded.typical_odds.diagonal().abs().max() == 0


def test_a_folder_of_an_earlier_version_has_no_scope_and_says_so(tmp_path) -> None:
    """The shipped model was written before scopes of this kind."""
    loaded = load("cifar10", dtype=torch.float32)
    if loaded.card.scope is not None:
        pytest.skip("the shipped model has a scope by now")
    reading = loaded.read(torch.full((1, 3, 32, 32), 90.0))
    assert reading.scope is None and not loaded.has_scope and loaded.in_scope(reading).all()


@pytest.mark.parametrize("widening", ["convolution", "zeros"])
@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect"])
def test_design_choices_keep_the_inverse(config, data, widening, padding) -> None:
    changed = config.model.model_copy(
        update={"widening": widening, "padding": padding, "norm": "act"}
    )
    model = build(config.model_copy(update={"model": changed})).double().eval()
    model.trunk.initialise(torch.from_numpy(data.train.images[:20]).double())
    assert exactness(model, data.test.images[:4]).share_float64 == 1.0


def test_the_twin_has_as_many_parameters(config) -> None:
    shared = config.model.model_dump(include=set(PooledTwinConfig.model_fields) - {"kind"})
    twin = build(config.model_copy(update={"model": PooledTwinConfig(**shared)}))
    count = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert count(twin) == count(build(config))


def test_widths_that_do_not_fit_are_named(config) -> None:
    for hidden, message in (((25, 32, 48), "multiple of 12"), ((12, 64, 48), "fourfold")):
        with pytest.raises(ConfigError, match=message):
            build(
                config.model_copy(
                    update={"model": config.model.model_copy(update={"hidden": hidden})}
                )
            )


def test_the_volume_of_a_bypass_is_that_of_what_it_holds() -> None:
    inner = Chain(InvertibleConv2d(3).double())
    layer, x = Bypass(4, 3, inner, 0), torch.randn(2, 4, 4, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda v: layer(v[None])[0].flatten(), x[0]
    ).reshape(64, 64)
    assert layer.log_det(x)[0].item() == pytest.approx(
        torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-9
    )


def test_the_sampled_pull_is_that_of_the_exact_penalty_in_the_mean() -> None:
    torch.manual_seed(0)
    weight = (0.2 * torch.randn(5, 5, 3, 3, dtype=torch.float64)).requires_grad_()
    exact = torch.autograd.grad(orthogonality_penalty(weight), weight)[0]
    mean = sum(_gradient(weight.detach()) for _ in range(4000)) / 4000
    assert (mean - exact).norm() < 0.05 * exact.norm()


def test_volumes_come_back_and_their_haar_keeps_lengths(configs) -> None:
    small = load_config(configs / "adrenalmnist3d.yaml", ("data.size=16", "model.depths=[1,1]"))
    model = build(small).double().eval()
    x = torch.randint(
        0, 256, (2, 1, 16, 16, 16), generator=torch.Generator().manual_seed(0)
    ).double()
    with torch.no_grad():
        assert torch.equal(model.invert(model.features(x)).round(), x) and model.logits(
            x
        ).shape == (2, 2)
        y = Haar3d().double()(x)
        assert torch.allclose(y.square().sum(), x.square().sum()) and torch.allclose(
            y[:, 0].sum() * 8**0.5, x.sum()
        )
        assert (
            Haar3d().double().inverse(y) - x
        ).abs().max() < 1e-11  # its numbers are not those of float32
    assert len(condition_numbers(model)) == 2


def test_the_best_epoch_is_kept(configs, data) -> None:
    two = LabelledImages(
        *(
            Part(part.images[:, :1, 2:30, 2:30], part.labels % 2, part.patients)
            for part in (data.train, data.validation, data.test)
        )
    )
    overrides = (
        "model.depths=[1,1]",
        "model.hidden=[8,16]",
        "train.epochs=4",
        "train.batch=20",
        "train.average=0.0",
        "train.learning_rate=0.3",
    )
    trained = train(load_config(configs / "breastmnist.yaml", overrides), two)
    assert validation_auc(trained.model, two.validation) == pytest.approx(
        max(epoch.validation for epoch in trained.epochs)
    )


def test_whitened_patches_come_back_and_the_twin_sees_the_same(configs, config, data) -> None:
    whitened = load_config(configs / "cifar10.yaml", (*SMALL, "model.whiten=true"))
    model = train(whitened, data).model.double()
    found = exactness(model, data.test.images)
    assert found.share_float64 == 1
    other = load_config(configs / "cifar10-twin.yaml", (*SMALL, "model.whiten=true"))
    twin = train(other, data).model.double()
    matrices = [
        next(module.weight for module in network.modules() if isinstance(module, Whitening))
        for network in (model, twin)
    ]
    assert torch.allclose(*matrices) and not torch.allclose(matrices[0], torch.eye(12).double())
