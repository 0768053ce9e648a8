"""A bar of length 1 and stiffness 1, held at x = 0, under random loads: its exact statistics.

    u'' = -q(x),  q(x) = q0 + q1 sin(pi x),  u(0) = 0,  u'(1) = p

has the solution u = p x + q0 (x - x^2 / 2) + q1 (sin(pi x) / pi^2 + x / pi). With p, q0, q1 normal
and independent, displacements at any places are normal: mean and covariance are known exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.special import ndtri

MEANS, DEVIATIONS = np.array([1.0, 0.5, -1.0]), np.array([0.3, 0.2, 0.5])  # of p, q0, q1


@dataclass(frozen=True)
class Bar:
    """Displacements at `places` (n,) of the bar under its random loads."""

    places: NDArray

    @property
    def shapes(self) -> NDArray:
        """Displacements (n, 3) under a unit of each load."""
        x = self.places
        return np.stack([x, x - x**2 / 2, np.sin(np.pi * x) / np.pi**2 + x / np.pi], axis=1)

    @property
    def mean(self) -> NDArray:
        """(n,), exact."""
        return self.shapes @ MEANS

    @property
    def covariance(self) -> NDArray:
        """(n, n), exact, of rank 3."""
        return (self.shapes * DEVIATIONS**2) @ self.shapes.T

    def sample(self, count: int, generator: np.random.Generator) -> NDArray:
        """Displacements (count, n)."""
        return (MEANS + DEVIATIONS * generator.normal(size=(count, 3))) @ self.shapes.T


def tip_distance(samples: NDArray, mean: float, deviation: float) -> float:
    """Wasserstein-1 of samples (N,) from a normal law: the area between the quantile functions."""
    ranks = (np.arange(len(samples)) + 0.5) / len(samples)
    return float(np.abs(np.sort(samples) - (mean + deviation * ndtri(ranks))).mean())


def gaussian_distance(
    mean: NDArray, covariance: NDArray, other_mean: NDArray, other: NDArray
) -> float:
    """Wasserstein-2 between two normal laws, exact (Givens and Shortt 1984)."""
    root = np.real(sqrtm(covariance + 1e-12 * np.eye(len(covariance))))
    cross = np.real(sqrtm(root @ other @ root + 1e-18 * np.eye(len(other))))
    square = ((mean - other_mean) ** 2).sum() + np.trace(covariance + other - 2 * cross)
    return float(max(square, 0.0) ** 0.5)
