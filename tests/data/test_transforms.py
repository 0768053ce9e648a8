"""The way from display grey levels to the network's input."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medinv.data.transforms import network_intake
from medinv.errors import ShapeError


def exact_area_mean(image: np.ndarray, size: int) -> np.ndarray:
    """Area averages in exact arithmetic, rounded half to even."""
    rows, columns = image.shape
    edges = [
        [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in (rows, columns)
    ]
    blocks = [
        [image[top:bottom, left:right] for left, right in edges[1]] for top, bottom in edges[0]
    ]
    return np.array(
        [[round(Fraction(int(block.sum()), block.size)) for block in row] for row in blocks]
    )


@pytest.mark.parametrize("shape", [(112, 112), (100, 131), (64, 64), (40, 50), (513, 200)])
def test_intake_is_the_exactly_rounded_area_mean(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    out = network_intake(64)(image[None])
    assert tuple(out.shape) == (1, 64, 64)
    assert np.array_equal(np.asarray(out)[0], exact_area_mean(image, 64))


def test_intake_equals_adaptive_average_pooling() -> None:
    images = np.random.default_rng(1).integers(0, 256, (20, 112, 112), dtype=np.uint8)
    expected = (
        torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(images).double(), 64)
        .float()
        .round()
    )
    out = torch.stack([network_intake(64)(image[None])[0].as_tensor() for image in images])
    assert torch.equal(out, expected)
    assert torch.equal(out, out.round()) and out.min() >= 0 and out.max() <= 255


def test_ties_round_to_even_at_every_grey_level() -> None:
    low = np.arange(255)
    pairs = np.stack([low, low + 1], axis=1).reshape(1, 1, -1).repeat(2, axis=1).astype(np.uint8)
    out = network_intake(255)(np.repeat(pairs, 255, axis=1))
    assert np.array_equal(np.asarray(out)[0, 0], np.rint(low + 0.5))


def test_affine_follows_the_new_size() -> None:
    affine = torch.diag(torch.tensor([0.5, 0.7, 1.0, 1.0], dtype=torch.float64))
    out = network_intake(64)(
        MetaTensor(torch.zeros(1, 128, 256), affine=affine, meta={"policy": "kept"})
    )
    assert torch.allclose(out.affine[:2, :2].diag(), torch.tensor([1.0, 2.8], dtype=torch.float64))
    assert torch.allclose(
        out.affine[:2, 3], torch.tensor([0.25, 1.05], dtype=torch.float64)
    )  # centre of the merged pixels
    assert out.meta["policy"] == "kept"


def test_values_or_shapes_that_are_no_grey_image_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(1, H, W\)"):
        network_intake(64)(np.zeros((112, 112), np.uint8))
    for wrong in (-1.0, 256.0, float("nan")):
        with pytest.raises(ShapeError, match=r"0\.\.255"):
            network_intake(64)(np.full((1, 80, 80), wrong))


def test_intake_travels_to_worker_processes() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 90, 90), dtype=np.uint8)
    again = pickle.loads(pickle.dumps(network_intake(64)))
    assert torch.equal(again(image), network_intake(64)(image))
