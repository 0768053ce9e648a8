"""Sets of classes that hold the true one as often as was asked for: split conformal prediction.

Of the n validation images of a class let t be the l-th smallest of the probabilities that the model
gives to that class, l = floor((n + 1) a). A new image of the class, exchangeable with those, has
less than t with a probability of at most a, so that the set

    {k : probability of k >= t_k}

leaves out the true class of at most a share a of images, of each class (Vovk et al. 2005; by class:
Sadinle et al. 2019). Nothing is assumed of the model. What is assumed is exchangeability: of images
that are blurred, noisy, or of another hospital the promise does not hold.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from medinv.errors import ConfigError
from medinv.metrics import Estimate

ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2)  # that a card has thresholds for


class Conformal(BaseModel):
    """Thresholds by error and class, from validation images of each class.

    A threshold of 0 leaves a class in every set: there were too few images for that error. What
    they gave on test images stands beside them, by error, with intervals by patient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    errors: tuple[float, ...]
    thresholds: tuple[tuple[float, ...], ...]  # by error, by class
    images: tuple[int, ...]  # by class
    covered: tuple[Estimate, ...] = ()  # test images whose set holds their class
    undecided: tuple[Estimate, ...] = ()  # those whose set is not the class called alone

    @model_validator(mode="after")
    def _a_row_an_error(self) -> "Conformal":
        if len(self.errors) != len(self.thresholds) or any(
            len(row) != len(self.images) or not all(0 <= t <= 1 for t in row)
            for row in self.thresholds
        ):
            raise ValueError("conformal: expected a threshold from 0 to 1 an error and class")
        return self

    def at(self, error: float) -> tuple[float, ...]:
        """The thresholds by class for an error. Raises ConfigError for one that it has not."""
        if error not in self.errors:
            allowed = ", ".join(f"{each:g}" for each in self.errors)
            raise ConfigError(f"expected an error of {allowed}; got {error:g}")
        return self.thresholds[self.errors.index(error)]

    def plausible(self, probabilities: Mapping[str, float], error: float) -> tuple[str, ...]:
        """The classes in the set of an image, from its probabilities by class, in their order."""
        least = self.at(error)
        return tuple(k for k, t in zip(probabilities, least, strict=True) if probabilities[k] >= t)

    def holds(self, probabilities: NDArray, error: float) -> NDArray:
        """Which classes (N, K) bool the sets of images hold, from probabilities (N, K)."""
        return probabilities >= np.array(self.at(error))


def threshold(probabilities: NDArray, error: float) -> float:
    """The threshold of a class, from what its images (n,) gave it.

    >>> threshold(np.arange(1, 100) / 100, 0.05)
    0.05
    >>> threshold(np.array([0.9, 0.8]), 0.05)
    0.0
    """
    # Not floor((n + 1) a) alone: 100 * 0.29 is 28.999999999999996.
    rank = math.floor((len(probabilities) + 1) * error + 1e-9)
    return float(np.sort(probabilities)[rank - 1]) if rank else 0.0


def fit_conformal(probabilities: NDArray, labels: NDArray) -> Conformal:
    """From probabilities (N, K) of validation images and their labels (N,)."""
    of_class = [probabilities[labels == k, k] for k in range(probabilities.shape[1])]
    return Conformal(
        errors=ERRORS,
        thresholds=tuple(tuple(threshold(p, error) for p in of_class) for error in ERRORS),
        images=tuple(len(p) for p in of_class),
    )
