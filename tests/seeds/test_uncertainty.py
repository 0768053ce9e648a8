"""The bar's closed form, distances between laws, and the gradient penalty."""

import numpy as np
import pytest
import torch

from pipelines.seeds.uncertainty.bar import Bar, gaussian_distance, tip_distance
from pipelines.seeds.uncertainty.gan import gradient_penalty

BAR = Bar(np.linspace(0, 1, 17)[1:])


@pytest.mark.parametrize("load", [0, 1, 2])
def test_the_shapes_solve_the_equation_of_the_bar(load) -> None:
    """By finite differences on a fine grid, with the tip's force and the support."""
    x = np.linspace(0, 1, 2001)
    u, step = Bar(x).shapes[:, load], x[1]
    q = [np.zeros_like(x), np.ones_like(x), np.sin(np.pi * x)][load]
    bent = (u[2:] - 2 * u[1:-1] + u[:-2]) / step**2
    assert np.abs(bent + q[1:-1]).max() < 1e-5
    slope = (3 * u[-1] - 4 * u[-2] + u[-3]) / (2 * step)
    assert u[0] == 0 and slope == pytest.approx(float(load == 0), abs=1e-5)


def test_samples_have_the_mean_and_covariance_that_are_said() -> None:
    samples = BAR.sample(200_000, np.random.default_rng(0))
    error = np.sqrt(np.diag(BAR.covariance) / len(samples))
    assert (np.abs(samples.mean(0) - BAR.mean) < 5 * error).all()
    assert np.cov(samples, rowvar=False) == pytest.approx(BAR.covariance, rel=0.02)


def test_distances_are_those_known_by_hand() -> None:
    ranks = np.random.default_rng(0).normal(2, 3, 100_000)
    assert tip_distance(ranks + 0.5, 2, 3) == pytest.approx(0.5, abs=0.03)
    assert tip_distance(2 + 2 * (ranks - 2), 2, 3) == pytest.approx(
        3 * (2 / np.pi) ** 0.5, rel=0.02
    )
    two = np.diag([1.0, 4.0])
    assert gaussian_distance(np.zeros(2), two, np.array([3.0, 4.0]), two) == pytest.approx(5)
    wider = gaussian_distance(np.zeros(2), two, np.zeros(2), np.diag([4.0, 16.0]))
    assert wider == pytest.approx(5**0.5, rel=1e-4)


@pytest.mark.parametrize("length", [0.0, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_how_far_its_slope_is_from_one(length) -> None:
    torch.manual_seed(0)
    weight = torch.randn(5)
    weight = length * weight / weight.norm()
    real, made, share = torch.randn(7, 5), torch.randn(7, 5), torch.rand(7, 1)
    penalty = gradient_penalty(lambda x: x @ weight, real, made, share)
    assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_the_penalty_is_taken_between_the_two() -> None:
    """Of a critic |x|^2 / 2 the slope is x: at a share of 0 the real one, at 1 the made one."""
    real, made = torch.full((1, 4), 0.5), torch.full((1, 4), 2.0)

    def half_square(x):
        return x.square().sum(1) / 2

    assert gradient_penalty(half_square, real, made, torch.zeros(1, 1)).item() == 0
    assert gradient_penalty(half_square, real, made, torch.ones(1, 1)).item() == 9
