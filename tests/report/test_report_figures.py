"""Figures: a signed map is honest about sign, scale and zero."""

import io

import numpy as np
import pytest
from PIL import Image

from medinv.report import figures


def decoded(picture: figures.Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)))


@pytest.mark.parametrize("palette", [figures.EVIDENCE, figures.CHANGE])
def test_diverging_map_is_transparent_at_zero_symmetric_and_linear(palette):
    values = np.array([[-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]])
    rgba = figures.diverging(values, 1.0, palette)[0]
    assert rgba[:, 3].tolist() == [255, 255, 128, 0, 128, 255, 255]
    assert (rgba[:3, :3] == palette[0]).all() and (rgba[4:, :3] == palette[1]).all()


def test_colour_bar_is_drawn_as_the_map_is():
    bar = decoded(figures.colour_bar(figures.EVIDENCE))[0]
    assert bar[127, 3] == 0
    assert (bar[:, 3] == bar[::-1, 3]).all()
    assert (bar[0, :3] == figures.EVIDENCE[0]).all() and (bar[-1, :3] == figures.EVIDENCE[1]).all()


def test_signed_picture_says_its_scale_and_what_lies_beyond():
    values = np.full((20, 20), -0.1)
    values[0, :2] = 9.0
    drawn = figures.signed(values, figures.EVIDENCE)
    assert (drawn.scale, drawn.clipped) == (pytest.approx(0.1), 2)


def test_network_pixels_are_enlarged_without_smoothing():
    image = np.array([[0, 255], [100, 7]], np.uint8)
    drawn = decoded(figures.grey(image))
    assert (drawn == image.repeat(figures.ENLARGE, 0).repeat(figures.ENLARGE, 1)).all()


def test_a_map_of_zeros_is_wholly_transparent():
    drawn = figures.signed(np.zeros((4, 4)), figures.CHANGE)
    assert drawn.scale == 0 and decoded(drawn.picture)[..., 3].max() == 0


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (100, 200)), (2.0, (100, 200)), (0.5, (100, 200))]
)
def test_native_image_has_square_pixels_and_is_never_enlarged(aspect, shape):
    picture = figures.native(np.zeros(shape, np.uint8), aspect)
    assert picture.height / picture.width == pytest.approx(shape[0] * aspect / shape[1], rel=0.02)
    assert picture.height <= shape[0] and picture.width <= shape[1]


def test_a_large_noisy_image_is_drawn_within_the_budget():
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1200), dtype=np.uint8)
    picture = figures.native(noise, 1.0)
    assert max(picture.width, picture.height) <= figures.LONGEST
    assert len(picture.png) <= figures.NATIVE_BYTES


def test_scale_bar_has_the_headers_length():
    picture = figures.Picture(b"", width=500, height=400)
    bar = figures.scale_bar(picture, columns=1000, spacing=(0.4, 0.305))
    assert (bar.length_mm, bar.length_px) == (100, pytest.approx(500 * 100 / 305))
    assert figures.scale_bar(picture, 1000, None) is None
