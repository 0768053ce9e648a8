"""An operating point by the sensitivity that a user asks for."""

import copy
import math

import pytest

from medinv.models.base import in_batches
from medinv.training.calibrate import calibrate


@pytest.mark.parametrize("sensitivity", [0.3, 0.8])
def test_as_many_positive_images_are_called_as_asked_for_and_no_more(
    tiny_model, tiny_config, tiny_data, sensitivity
) -> None:
    model, part = copy.deepcopy(tiny_model), tiny_data.validation
    recipe = tiny_config.train.model_copy(update={"sensitivity": sensitivity})
    calibrate(model, tiny_config.model_copy(update={"train": recipe}), tiny_data)
    called = model.called(in_batches(model.logits, model, part.images)).numpy()
    positive = part.labels == 1
    assert called[positive].sum() == math.ceil(sensitivity * positive.sum())
