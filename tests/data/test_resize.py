"""The light intake gives the very values of the MONAI intake that the
models were trained behind.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medinv.data.resize import resize, resize_volume
from medinv.data.transforms import network_intake
from medinv.errors import ShapeError

SIZES = {size: network_intake(size) for size in (16, 64)}


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 150), st.integers(1, 150))),
    st.sampled_from(sorted(SIZES)),
)
@settings(max_examples=60, deadline=None)
def test_every_value_is_that_of_the_monai_intake(image, size) -> None:
    assert np.array_equal(
        resize(image, size), torch.as_tensor(SIZES[size](torch.from_numpy(image)[None])).numpy()
    )


def test_large_images_too() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1777, 2048), dtype=np.uint8)
    assert np.array_equal(
        resize(image, 64), torch.as_tensor(SIZES[64](torch.from_numpy(image)[None])).numpy()
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colours_and_rectangles_are_the_averages_of_each_plane(kind) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (90, 61, 3), dtype=kind)
    taken = resize(image, (24, 40))
    assert taken.shape == (3, 24, 40) and taken.dtype == kind
    for k, plane in enumerate(torch.from_numpy(image.astype(np.float64)).movedim(2, 0)):
        means = torch.nn.functional.adaptive_avg_pool2d(plane[None], (24, 40))[0].numpy()
        assert np.abs(taken[k] - means).max() <= 0.5
        assert np.array_equal(taken[k : k + 1], resize(image[..., k], (24, 40)))


def test_wide_images_of_16_bits_are_summed_without_overflow() -> None:
    white = np.full((300, 300), 65535, np.uint16)
    assert (resize(white, (1, 1)) == 65535).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4)),
        np.zeros((0, 4), np.uint8),
        np.zeros((1, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_what_is_no_image_of_grey_levels_is_refused(image) -> None:
    with pytest.raises(ShapeError, match="grey levels"):
        resize(image, 16)


@pytest.mark.parametrize("size", [(4, 6, 8), (16, 5, 7), (30, 40, 50)])
def test_a_volume_is_averaged_along_each_axis(size) -> None:
    volume = np.random.default_rng(0).integers(0, 256, (14, 33, 21), dtype=np.uint8)
    expected = torch.nn.functional.adaptive_avg_pool3d(
        torch.from_numpy(volume)[None].double(), size
    )
    taken = resize_volume(volume, size)
    assert taken.shape == (1, *size) and np.abs(taken - expected.numpy()).max() <= 0.5 + 1e-6
    for wrong in (size[:2], (*size[:2], 0)):
        with pytest.raises(ShapeError, match="slices"):
            resize_volume(volume, wrong)
