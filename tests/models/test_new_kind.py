"""A kind of model added from a file of its own, as medinv.models says: this one."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from medinv.config import Config, HeadTrain, ModelConfig, load_config
from medinv.errors import ConfigError
from medinv.models import build as kinds
from medinv.models.base import Calibrated, Kind, label_loss
from medinv.models.store import load
from medinv.training.publish import publish
from medinv.training.train import train


class BrightnessConfig(ModelConfig):
    """A linear head on the mean grey level."""

    kind: Literal["brightness"] = "brightness"
    steepness: float = 1.0


class Brightness(Calibrated):
    """Images (N, C, *size) -> logits (N, K)."""

    def __init__(self, model: BrightnessConfig):
        super().__init__(model.classes)
        self.mean, self.std, self.steepness = model.mean, model.std, model.steepness
        self.head = nn.Linear(model.channels, len(model.classes))

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.steepness * ((x - self.mean) / self.std).flatten(2).mean(2))


BRIGHTNESS = Kind(BrightnessConfig, lambda model, image_shape: Brightness(model), label_loss)


@pytest.fixture
def config(monkeypatch, configs) -> Config:
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, BRIGHTNESS))
    return load_config(
        configs / "phantom-opacity-twin.yaml",
        (
            "name=bright",
            "data.size=16",
            "data.counts=[48,64,64]",
            "model={kind: brightness, classes: [clear, opacity], mean: 95, std: 70, steepness: 2}",
            "train={epochs: 1, batch: 48, average: 0.5}",
        ),
    )


def test_it_trains_two_steps_and_its_folder_loads(config, tiny_data, tmp_path) -> None:
    torch.manual_seed(config.seed)
    untrained = kinds.build(config)
    trained = train(config, tiny_data)
    assert len(tiny_data.train) // config.train.batch == 2 and isinstance(config.train, HeadTrain)
    assert not torch.equal(trained.model.head.weight, untrained.head.weight)
    card = publish(tmp_path / "bright", trained, config, tiny_data, command="test")
    loaded = load(tmp_path / "bright", Brightness)
    assert loaded.card == card and loaded.steepness == 2
    assert card.exactness is None and card.scope is None and card.operating_point is not None
    assert loaded.reference is None and "keeps no reference" in loaded.reference_missing


def test_its_settings_are_its_own(config, configs) -> None:
    with pytest.raises(ConfigError, match=r"model\.steepness: not a setting of model\.kind twin"):
        load_config(configs / "phantom-opacity-twin.yaml", ("model.steepness=2",))
