"""Training: repeatable, resumable, and better than where it started."""

import numpy as np
import pytest
import torch

from medinv.config import DensityTrain, PhantomData, load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ConfigError, DataError, ModelError
from medinv.models.build import build
from medinv.training.batches import order
from medinv.training.optimisers import averaged
from medinv.training.train import train


def test_training_lowers_the_loss_and_repeats_to_the_bit(tiny_config, tiny_data) -> None:
    first, second = train(tiny_config, tiny_data), train(tiny_config, tiny_data)
    assert first.epochs[-1].bits_per_pixel < first.epochs[0].bits_per_pixel
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_interrupted_run_goes_on_to_the_same_weights(tiny_config, tiny_data, tmp_path) -> None:
    whole = train(tiny_config, tiny_data)

    def stop(epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, tiny_data, checkpoint=path, report=stop)
    resumed = train(tiny_config, tiny_data, checkpoint=path)
    assert len(resumed.epochs) == 2
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_recipe_is_refused(tiny_config, tiny_data, tmp_path) -> None:
    path = tmp_path / "checkpoint.pt"
    train(tiny_config, tiny_data, checkpoint=path)
    other = tiny_config.model_copy(update={"seed": 7})
    with pytest.raises(ModelError, match="another configuration"):
        train(other, tiny_data, checkpoint=path)


def test_the_twin_has_about_as_many_parameters_and_as_many_convolutions(configs) -> None:
    model, twin = (
        load_config(configs / f"{name}.yaml") for name in ("chest-xray", "chest-xray-twin")
    )
    counts = [sum(p.numel() for p in build(config).parameters()) for config in (model, twin)]
    assert model.model.depths == twin.model.depths and sum(model.model.depths) >= 20
    assert counts[1] == pytest.approx(counts[0], rel=0.1)
    assert model.data == twin.data


def test_overrides_and_unknown_keys(configs) -> None:
    path = configs / "chest-xray.yaml"
    assert load_config(path, ("train.epochs=3",)).train.epochs == 3
    with pytest.raises(ConfigError, match=r"train\.epoch:"):
        load_config(path, ("train.epoch=3",))
    with pytest.raises(ConfigError, match="no section"):
        load_config(path, ("training.epochs=3",))
    with pytest.raises(ConfigError, match="no such configuration"):
        load_config(configs / "none.yaml")


def test_a_body_and_its_twin_train_in_one_batch(tiny_data) -> None:
    recipe = DensityTrain(epochs=1, whole_patients=True)
    chosen = order(tiny_data.train, np.random.default_rng(0), recipe)
    pairs = tiny_data.train.patients[chosen].reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all() and len(np.unique(chosen)) == len(chosen)
    assert not (np.diff(pairs[:, 0]) > 0).all(), "the bodies must come in random order"


def test_pairs_differ_by_the_opacity_alone(tiny_data) -> None:
    clear, opaque = (
        tiny_data.train.images[::2].astype(int),
        tiny_data.train.images[1::2].astype(int),
    )
    assert (tiny_data.train.labels.reshape(-1, 2) == [0, 1]).all()
    assert (clear != opaque).any((1, 2, 3)).mean() > 0.9
    assert np.median((clear == opaque).mean((1, 2, 3))) > 0.6 and (opaque - clear).mean() > 0


def test_an_average_over_few_steps_holds_nothing_of_the_start() -> None:
    """Decay min(d, (1 + n) / (10 + n)): 30 steps at 0.998 would keep 94 % of the first weights."""
    network = torch.nn.Linear(1, 1)
    average = averaged(network, 0.998)
    for step in range(30):
        with torch.no_grad():
            network.weight.fill_(0.0 if step == 0 else 1.0)
        average.update_parameters(network)
    assert average.module.weight.item() > 0.95


def test_an_average_over_many_steps_has_the_decay_of_the_recipe() -> None:
    network = torch.nn.Linear(1, 1)
    average = averaged(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(0.0)
        for _ in range(500):
            average.update_parameters(network)
        network.weight.fill_(1.0)
    average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(0.1, abs=1e-5)


def test_fewer_images_than_a_batch_are_said_before_the_first_step(tiny_config, tiny_data) -> None:
    recipe = tiny_config.train.model_copy(update={"batch": 97})
    with pytest.raises(ConfigError, match=r"train\.batch: expected at most 96"):
        train(tiny_config.model_copy(update={"train": recipe}), tiny_data)


def test_a_class_absent_from_a_part_is_said_before_the_first_step(tiny_config, tiny_data) -> None:
    """Its metrics would draw for ever for a resample that holds both classes."""
    part = tiny_data.test
    clear = Part(part.images, np.zeros_like(part.labels), part.patients)
    data = LabelledImages(tiny_data.train, tiny_data.validation, clear)
    with pytest.raises(DataError, match="among the test images; absent: opacity"):
        train(tiny_config, data)


def test_images_of_another_size_are_said_before_the_first_step(tiny_config, tiny_data) -> None:
    other = tiny_config.model_copy(update={"data": PhantomData(size=32, counts=(1, 1, 1))})
    with pytest.raises(DataError, match=r"shape \(1, 32, 32\) and 8 or 16 bits; got \(1, 16, 16\)"):
        train(other, tiny_data)
