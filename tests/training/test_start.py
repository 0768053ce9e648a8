"""Training that begins with the weights of another model."""

import pytest
import torch
from torch import nn

from medinv.config import load_config
from medinv.errors import ConfigError, ModelNotFoundError
from medinv.models.build import build
from medinv.models.store import shipped
from medinv.training.publish import publish
from medinv.training.start import start_from
from medinv.training.train import train


@pytest.fixture(scope="module")
def earlier(tiny_config, tiny_data, tmp_path_factory):
    """A trained model's folder and its weights."""
    folder = tmp_path_factory.mktemp("earlier")
    trained = train(tiny_config, tiny_data)
    publish(folder, trained, tiny_config, tiny_data, command="")
    return folder, dict(trained.model.named_parameters())


def changed(config, section: str, **values):
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


def test_a_network_begins_with_an_earlier_models_weights_and_is_not_yet_calibrated(
    earlier, tiny_config
) -> None:
    folder, weights = earlier
    network = build(tiny_config)
    start_from(network, str(folder))
    for name, mine in network.named_parameters():
        assert torch.allclose(mine.double(), weights[name].double()), name
    assert network.temperature_inverse.item() == 1
    assert not network.has_scope


def test_a_training_that_starts_well_is_better_after_one_epoch(
    earlier, tiny_config, tiny_data
) -> None:
    folder, _ = earlier
    once = changed(tiny_config, "train", epochs=1, start=None)
    again = changed(tiny_config, "train", epochs=1, start=str(folder))
    new, taken_up = (train(config, tiny_data).epochs[0].bits_per_pixel for config in (once, again))
    assert taken_up < new


def test_a_blend_lies_between_the_trained_weights_and_those_of_the_start(
    earlier, tiny_config, tiny_data
) -> None:
    folder, weights = earlier
    ends = [
        dict(train(changed(tiny_config, "train", **more), tiny_data).model.named_parameters())
        for more in ({"epochs": 1, "start": str(folder), "blend": share} for share in (0, 0.25))
    ]
    moved = 0.0
    for name, own in ends[0].items():
        between = 0.75 * own.double() + 0.25 * weights[name].double()
        assert torch.allclose(ends[1][name].double(), between, rtol=0, atol=1e-6), name
        moved += (own.double() - weights[name].double()).abs().sum().item()
    assert moved > 0


def test_a_blend_goes_to_another_model_where_the_recipe_names_one(
    earlier, tiny_config, tiny_data, tmp_path
) -> None:
    folder, _ = earlier
    once = {"epochs": 1, "start": str(folder)}
    other = train(changed(tiny_config, "train", epochs=2), tiny_data)
    publish(tmp_path, other, tiny_config, tiny_data, command="")
    alone, both = (
        dict(
            train(changed(tiny_config, "train", **once, **more), tiny_data).model.named_parameters()
        )
        for more in ({}, {"blend": 0.25, "blend_with": str(tmp_path)})
    )
    for name, weights in other.model.named_parameters():
        between = 0.75 * alone[name].double() + 0.25 * weights.double()
        assert torch.allclose(both[name].double(), between, rtol=0, atol=1e-6), name


def test_a_model_to_blend_with_needs_a_share(configs) -> None:
    with pytest.raises(ConfigError, match="blend_with has no effect without blend"):
        load_config(configs / "phantom-opacity.yaml", ("train.blend_with=phantom-opacity",))


def test_a_blend_needs_a_start(configs) -> None:
    with pytest.raises(ConfigError, match="blend goes back to the weights of start"):
        load_config(configs / "phantom-opacity.yaml", ("train.blend=0.5",))


def test_other_classes_keep_their_own_start(earlier, tiny_config) -> None:
    folder, weights = earlier
    network = build(changed(tiny_config, "model", classes=("a", "b", "c")))
    means = network.means.detach().clone()
    start_from(network, str(folder))
    assert torch.equal(network.means, means)
    trunk = [name for name in weights if name.startswith("trunk.")]
    mine = dict(network.named_parameters())
    assert all(torch.allclose(mine[n].double(), weights[n].double()) for n in trunk)


def test_a_wider_network_begins_by_answering_as_the_narrower_one_did_and_learns_more(
    earlier, tiny_config, tiny_data
) -> None:
    folder, _ = earlier
    wide = changed(tiny_config, "model", hidden=tuple(4 * n for n in tiny_config.model.hidden))
    narrow, network = build(tiny_config).double().eval(), build(wide).double().eval()
    start_from(narrow, str(folder))
    start_from(network, str(folder))
    images = torch.from_numpy(tiny_data.validation.images[:4]).double()
    assert torch.allclose(network.logits(images), narrow.logits(images), rtol=0, atol=1e-9)
    network.logits(images).sum().backward()
    new = [
        weights.grad[..., narrower.shape[1] :, :, :].abs().max()
        for weights, narrower in zip(network.parameters(), narrow.parameters(), strict=True)
        if weights.ndim == 4 and weights.shape[1] > narrower.shape[1]
    ]
    assert max(new) > 0


def test_another_network_and_a_missing_model_are_refused_by_name(earlier, tiny_config) -> None:
    folder, _ = earlier
    narrower = tuple(width - 1 for width in tiny_config.model.hidden)
    network: nn.Module = build(changed(tiny_config, "model", hidden=narrower))
    with pytest.raises(ConfigError, match=r"train\.start.*copy its `model` section"):
        start_from(network, str(folder))
    with pytest.raises(ModelNotFoundError):
        start_from(network, "no-such-model")


def test_channels_that_others_read_are_not_widened(configs) -> None:
    config = load_config(configs / "cifar10.yaml")
    first, *others = config.model.hidden
    network = build(changed(config, "model", hidden=(first, *(2 * width for width in others))))
    with pytest.raises(ConfigError, match=r"train\.start.*copy its `model` section"):
        start_from(network, "cifar10")


def test_recipes_that_start_from_a_shipped_model_have_a_network_that_takes_it(configs) -> None:
    models = [path for path in configs.glob("*.yaml") if "\nmodel:" in path.read_text()]
    recipes = [config for config in map(load_config, models) if config.train.start in shipped()]
    assert recipes
    for config in recipes:
        assert start_from(build(config), config.train.start), config.name


def test_where_the_earlier_model_lies_does_not_count_as_another_recipe(tiny_config) -> None:
    one, two, other = (
        changed(tiny_config, "train", start=start) for start in ("runs/a", "/else/a", "runs/b")
    )
    assert one.sha256() == two.sha256() != other.sha256()
