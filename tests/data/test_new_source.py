"""A data source added from a file of its own, as medinv.data.sets says: this one."""

from typing import Literal

import numpy as np
import pytest

from medinv.config import Config, DataConfig, load_config
from medinv.data.sets import load as sources
from medinv.data.sets.labelled import DataSet, LabelledImages, Part
from medinv.data.sets.load import load_images
from medinv.errors import ConfigError
from medinv.models.store import read_card
from medinv.training.publish import publish
from medinv.training.train import train


class StripesData(DataConfig):
    """Stripes, upright or lying."""

    set: Literal["stripes"] = "stripes"
    width: int = 2


def load_stripes(settings: StripesData, progress) -> LabelledImages:
    progress("painting")

    def part(count: int, first: int) -> Part:
        labels = np.arange(count) % 2
        lines = (np.arange(settings.size) // settings.width % 2 * 100).astype(np.uint8)
        upright = np.broadcast_to(lines, (settings.size, settings.size))
        noise = np.random.default_rng(first).integers(0, 99, (count, 1, *upright.shape))
        images = np.stack([upright.T if label else upright for label in labels])[:, None] + noise
        return Part(images.astype(np.uint8), labels, first + np.arange(count))

    return LabelledImages(part(64, 0), part(40, 100), part(40, 200))


STRIPES = DataSet(StripesData, load_stripes, intake="painted")


@pytest.fixture
def config(monkeypatch, configs) -> Config:
    monkeypatch.setattr(sources, "SETS", (*sources.SETS, STRIPES))
    return load_config(
        configs / "phantom-opacity-twin.yaml",
        (
            "data={set: stripes, size: 16, width: 4}",
            "model.depths=[1]",
            "model.hidden=[8]",
            "train={epochs: 1, batch: 32}",
        ),
    )


def test_a_model_is_trained_on_it_and_its_card_says_so(config, tmp_path) -> None:
    said: list[str] = []
    data = load_images(config.data, progress=said.append)
    assert said == ["painting"] and len(data.train) == 64
    publish(tmp_path / "stripes", train(config, data), config, data, command="test")
    card = read_card(tmp_path / "stripes")
    assert card.config.data == StripesData(size=16, width=4) and card.intake == "painted"


def test_a_setting_of_another_source_is_an_error_that_names_it(configs) -> None:
    with pytest.raises(ConfigError, match=r"data\.width: not a setting of data\.set phantoms"):
        load_config(configs / "phantom-opacity.yaml", ("data.width=3",))
    with pytest.raises(ConfigError, match=r"data: .*expected one of .*prepared.*; got 'none'"):
        load_config(configs / "phantom-opacity.yaml", ("data.set=none",))
