"""Means over seeds with their intervals: one spelling for all systems."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from medinv.metrics import Estimate


def over_seeds(values: NDArray | Sequence[float]) -> Estimate:
    """The mean of (n,) with its 95 % interval by Student's t.

    >>> str(over_seeds([1.0, 2.0, 3.0]))
    '2.000 (-0.484 to 4.484)'
    """
    found = np.asarray(values, float)
    half = student.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    mean = float(found.mean())
    return Estimate(value=mean, low=mean - float(half), high=mean + float(half), n=len(found))


def points(share: Estimate) -> str:
    """A difference of shares in points.

    >>> points(over_seeds([0.01, 0.02, 0.03]))
    '+2.0 (-0.5 to +4.5)'
    """
    return f"{100 * share.value:+.1f} ({100 * share.low:+.1f} to {100 * share.high:+.1f})"
