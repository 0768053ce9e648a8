"""Configurations: a setting that nothing uses is an error that names it."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from medinv.config import Config, DataConfig, ModelConfig, load_config
from medinv.config.data import Side, Sides
from medinv.errors import ConfigError
from medinv.models.build import KINDS
from medinv.models.store import read_card, shipped

MODELS = [
    path
    for path in Path(__file__).parents[1].glob("configs/*.yaml")
    if path.stem not in ("network", "routes")
]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_configuration_is_one_and_comes_back_from_json(path: Path) -> None:
    config = load_config(path)
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert config.name == path.stem


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("chest-xray", "model.norm=act", r"model\.norm: .* model\.kind invertible"),
        ("chest-xray", "model.slope=0.5", r"model\.slope: .* model\.kind invertible"),
        ("chest-xray", "train.orthogonality=0.1", r"train\.orthogonality: .* invertible"),
        ("chest-xray", "train.label_smoothing=0.1", r"train\.label_smoothing: .* invertible"),
        ("chest-xray", "train.optimiser=muon", r"train\.optimiser"),
        ("chest-xray", "data.counts=[1,1,1]", r"data\.counts: .* data\.set prepared"),
        ("cifar10", "train.cross_entropy=0.3", r"train\.cross_entropy: .* model\.kind pooled"),
        ("cifar10", "model.clamp=0.3", r"model\.clamp: .* model\.kind pooled"),
        (
            "cifar10-twin",
            "reference={axes: 4}",
            "reference: a model of kind pooled-twin keeps none",
        ),
        ("cifar10", "train.weight_decay=0.1", "weight_decay has no effect with optimiser muon"),
        ("cifar10", "train.gain=0.1", "no effect beside flip"),
        ("chest-xray-twin", "train.orthogonality=0.1", r"train\.orthogonality: .* twin"),
        ("adrenalmnist3d", "model.widening=zeros", "widening has no effect on volumes"),
        ("adrenalmnist3d", "model.whiten=true", "whiten has no effect on volumes"),
        ("cifar10-baseline", "model.depths=[1]", r"model\.depths: .* model\.kind resnet18"),
    ],
)
def test_a_setting_that_a_kind_does_not_use_is_named(configs, name, override, words) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(configs / f"{name}.yaml", (override,))


def test_an_error_in_the_model_is_told_without_guesses_about_the_recipe(configs) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(configs / "chest-xray.yaml", ("model.hidden=[1]",))
    assert "depths and hidden" in str(error.value) and "train" not in str(error.value)


def test_every_kind_of_settings_has_its_network() -> None:
    assert {kind.config for kind in KINDS} >= {
        each for each in ModelConfig.known().values() if each.__module__.startswith("medinv")
    }


@pytest.mark.parametrize("name", shipped())
def test_the_card_holds_the_hash_of_the_configuration_that_made_it(configs, name) -> None:
    """The hash is of what the weights depend on, not of the card's words or what is kept."""
    card = read_card(name)
    assert card.config.sha256() == card.config_sha256
    assert load_config(configs / f"{name}.yaml").sha256() == card.config_sha256
    other = load_config(configs / f"{name}.yaml", ("seed=5",))
    assert other.sha256() != card.config_sha256


def test_kinds_with_the_same_settings_have_other_hashes(configs) -> None:
    first, second = (
        load_config(configs / "cifar10-baseline.yaml", (f"model.kind={kind}",)).sha256()
        for kind in ("lenet", "resnet18")
    )
    assert first != second


def test_a_size_is_one_side_or_one_for_each_axis() -> None:
    path = next(path for path in MODELS if path.stem == "phantom-opacity")
    with pytest.raises(ConfigError, match=r"data\.size"):
        load_config(path, ("data.size=[64,96]",))  # generated radiographs are squares
    square = load_config(path)
    for size, shape in ((64, (1, 64, 64)), ((64, 96), (1, 64, 96))):
        data = DataConfig.model_construct(set="any", size=size)
        assert square.model_copy(update={"data": data}).image_shape == shape
    sizes = TypeAdapter(Side | Sides)
    assert sizes.validate_python([8, 64, 96]) == (8, 64, 96)
    for size in (65, [64], [64, 63], [64, 64, 64, 64], "64x64"):
        with pytest.raises(ValidationError):
            sizes.validate_python(size)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.multilabel=true", "train a model for each"),
        ("model.findings=[a, b]", "an image has one class"),
        ("model.ordered=true", "two classes have no grades between them"),
        ("model.classes=[clear, ' clear ']", "a name each, all different"),
        ("model.classes=[clear, out of scope]", "no class may be called out of scope"),
        ('model.classes=[clear, "a\\\\b"]', "without a backslash"),
        ("model.classes=[clear, opacity, other]", "reference.expectation: what belongs in a part"),
        ("model.channels=3", "fitted to grey images alone"),
    ],
)
def test_what_classes_cannot_be_is_refused_by_name(configs, override, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(
            configs / "phantom-opacity.yaml", (override, "reference={axes: 4, expectation: 20}")
        )


def test_grades_and_names_of_any_language_are_taken(configs) -> None:
    names = "[gesund, Lungenentzündung, 肺炎]"
    given = (f"model.classes={names}", "model.ordered=true", "reference={transport: 8}")
    assert load_config(configs / "phantom-opacity.yaml", given).model.classes[2] == "肺炎"
