"""Sums of evidence over regions are contributions too: only where in the region is lost."""

import numpy as np
import pytest

from medinv.errors import ShapeError
from medinv.explanation.evidence import regional


def test_regions_sum_to_what_the_pixels_sum_to() -> None:
    contributions = np.random.default_rng(0).normal(0, 5, (64, 48))
    found = regional(contributions)
    assert found.shape == (8, 6)
    assert found.sum() == pytest.approx(contributions.sum(), rel=0, abs=1e-10)


def test_a_region_is_the_sum_of_its_own_pixels() -> None:
    contributions = np.random.default_rng(1).normal(0, 5, (12, 8))
    found = regional(contributions, size=4)
    for row in range(3):
        for column in range(2):
            own = contributions[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert found[row, column] == pytest.approx(own.sum(), rel=0, abs=1e-12)


def test_regions_of_one_pixel_are_the_pixels() -> None:
    contributions = np.arange(15.0).reshape(3, 5)
    assert (regional(contributions, size=1) == contributions).all()


@pytest.mark.parametrize(
    ("shape", "size"), [((60, 64), 8), ((64, 60), 8), ((64,), 8), ((1, 64, 64), 8), ((64, 64), 0)]
)
def test_a_map_that_does_not_divide_into_regions_is_refused(
    shape: tuple[int, ...], size: int
) -> None:
    with pytest.raises(ShapeError, match=f"multiples of {size}"):
        regional(np.zeros(shape), size)
