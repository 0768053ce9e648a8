"""An interval over seeds is that of Student's test."""

import pytest
from scipy.stats import ttest_1samp

from pipelines.seeds.intervals import over_seeds, points


def test_an_interval_is_that_of_the_test_of_one_sample() -> None:
    values = [0.1, -0.05, 0.2, 0.07]
    found, theirs = over_seeds(values), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.n == 4 and points(found) == "+8.0 (-8.4 to +24.4)"
