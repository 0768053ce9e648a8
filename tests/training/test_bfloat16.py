"""Sixteen bits on a processor: the same training, near enough."""

import pytest

from medinv.training.train import train


def test_a_density_trains_in_bfloat16_as_it_does_in_float32(tiny_config, tiny_data) -> None:
    recipe = tiny_config.train.model_copy(update={"epochs": 1, "bfloat16": True})
    half = train(tiny_config.model_copy(update={"train": recipe}), tiny_data).epochs[0]
    recipe = recipe.model_copy(update={"bfloat16": False})
    whole = train(tiny_config.model_copy(update={"train": recipe}), tiny_data).epochs[0]
    assert half.cross_entropy == pytest.approx(whole.cross_entropy, rel=0.02)
    assert half.bits_per_pixel == pytest.approx(whole.bits_per_pixel, abs=0.05)
    assert half.cross_entropy != whole.cross_entropy, "it was computed in 32 bits"
