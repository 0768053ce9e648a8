"""What `medinv init` recommends: a configuration that builds, or a refusal by name."""

import pytest
import torch
import yaml

from medinv.config import Config, DensityConfig, PooledConfig
from medinv.config.twin import twin_of
from medinv.data.sets.info import PARTS, DataSetInfo
from medinv.errors import ConfigError
from medinv.models.build import build
from medinv.training.draft import write
from medinv.training.recommend import draft


def _info(size: tuple[int, ...], kinds: int = 2, channels: int = 1, **others) -> DataSetInfo:
    names = tuple(f"class {k}" for k in range(kinds))
    counts = {part: dict.fromkeys(names, 200) for part in PARTS}
    return DataSetInfo(
        **{
            "name": "My set (2026)",
            "classes": names,
            "channels": channels,
            "size": size,
            "counts": counts,
            "patients": dict.fromkeys(PARTS, 100),
            "mean": (100.0, 120.0, 140.0)[:channels],
            "std": (50.0,) * channels,
            "sha256": "",
            **others,
        }
    )


def _config(info: DataSetInfo, **options) -> Config:
    return Config.model_validate(yaml.safe_load(write(draft(info, (), **options), info, "here")))


@pytest.mark.parametrize(
    "size, classes, channels, kind",
    [
        ((128, 128), 2, 1, DensityConfig),
        ((28, 28), 3, 3, PooledConfig),
        ((32, 32), 2, 3, DensityConfig),
        ((96, 64), 2, 1, DensityConfig),
        ((64, 64), 6, 1, PooledConfig),
        ((224, 224), 2, 3, PooledConfig),
        ((16, 32, 32), 2, 1, PooledConfig),
        ((20, 20), 2, 1, DensityConfig),
    ],
)
def test_a_network_is_built_for_every_shape_and_so_is_its_twin(
    size, classes, channels, kind
) -> None:
    config = _config(_info(size, classes, channels))
    assert isinstance(config.model, kind) and config.name == "my-set-2026"
    assert config.image_shape == (channels, *size) and len(config.model.classes) == classes
    x = torch.rand(2, channels, *size)
    if max(size) < 128:
        for each in (config, twin_of(config)):
            assert build(each).train().logits(x).shape == (2, classes)


def test_few_images_are_given_to_a_pooled_head() -> None:
    few = {part: {"class 0": 30, "class 1": 20} for part in PARTS}
    found = draft(_info((64, 64), counts=few), ())
    assert found.model["kind"] == "pooled" and "by heart" in found.why
    assert draft(_info((64, 64), counts=few), (), "density").model["kind"] == "invertible"


def test_a_tiny_set_has_steps_enough_and_an_average_that_forgets_the_start() -> None:
    info = _info((32, 32), counts={part: {"class 0": 9, "class 1": 9} for part in PARTS})
    config = _config(info)
    assert config.train.batch <= 4 and config.train.epochs == 60 and config.train.average < 0.99


@pytest.mark.parametrize(
    "changes, kind, says",
    [
        ({"size": (63, 64)}, None, "sides of 63 x 64 cannot be halved twice"),
        ({"bits": 16}, "density", "a density is of 8 bits; take pooled"),
        ({"size": (16, 32, 32)}, "density", "volumes have no density here; take pooled"),
        ({"classes": ("a|b", "c")}, None, "'a|b' looks like several findings at once"),
        ({"classes": ("a", "b", "c")}, None, "'a' has no image in the training part"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(changes, kind, says) -> None:
    with pytest.raises(ConfigError) as raised:
        draft(_info(**{"size": (64, 64), **changes}), (), kind)
    assert says in str(raised.value)


def test_masks_offer_composed_images_and_every_comment_is_one() -> None:
    info = _info((64, 64), masks=True)
    text = write(draft(info, ("US",)), info, "here")
    assert "# compose: {films" in text
    plain = _info((64, 64))
    assert "# compose" not in write(draft(plain, ()), plain, "here")
    uncommented = text.replace("  # recompute: true", "  recompute: true")
    assert Config.model_validate(yaml.safe_load(uncommented)).train.recompute


def test_a_twin_has_the_budget_and_the_widths_of_its_model() -> None:
    config = _config(_info((64, 64)))
    twin = twin_of(config)
    assert twin.name == "my-set-2026-twin" and twin.model.kind == "twin"
    assert (twin.model.depths, twin.model.hidden) == (config.model.depths, config.model.hidden)
    assert twin.train.epochs == config.train.epochs and twin.data == config.data
    with pytest.raises(ConfigError, match="twin has no ordinary counterpart"):
        twin_of(twin)


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (("no DR", "mild", "moderate", "severe"), "expected grade"),
        (("high", "low", "medium"), "--classes low,medium,high"),
        (("glioma", "meningioma", "pituitary"), None),
    ],
)
def test_grades_are_offered_to_be_told_in_their_order(classes, says) -> None:
    """As a comment: names alone do not prove an order. Switched on, it is a setting there is."""
    made = _info((64, 64), classes=classes, counts={p: dict.fromkeys(classes, 100) for p in PARTS})
    text = write(draft(made, ()), made, "set")
    assert ("# ordered: true" in text and says in text) if says else "ordered" not in text
    for on in (text, text.replace("  # ordered: true", "  ordered: true")):
        assert Config.model_validate(yaml.safe_load(on)).model.ordered == (on != text)
