"""Images of other kinds have the shape and the type of those that a model takes."""

import numpy as np
import pytest

from medinv.data.sets.foreign import MEDNIST, foreign_images
from medinv.data.sets.labelled import Part


@pytest.mark.parametrize(
    "shape, kind",
    [((1, 16, 16), np.uint8), ((3, 16, 24), np.uint8), ((1, 8, 16, 16), np.uint16)],
)
def test_they_fit_a_model_of_any_channels_sides_and_bits(
    monkeypatch, tmp_path, shape, kind
) -> None:
    hands = np.full((5, 64, 64), 200, np.uint8)
    np.savez(tmp_path / MEDNIST, x=hands, y=np.zeros(5, int), classes=np.array(["Hand"]))
    monkeypatch.setenv("MEDINV_DATA", str(tmp_path))
    images = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (5, *shape)).astype(kind)
    made = foreign_images(Part(images, np.zeros(5, int), np.arange(5)), each=4)
    for name, others in made.items():
        assert others.shape[1:] == shape and others.dtype == kind, name
    assert (made["inverted grey levels"] == np.iinfo(kind).max - images[:4]).all()
    assert ("MedNIST Hand" in made) == (len(shape) == 3)
    assert made["uniform noise"].max() > 0.9 * np.iinfo(kind).max
    assert ("quarter turn" in made) == (shape[-1] == shape[-2])
