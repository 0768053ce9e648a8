"""Restarted primal-dual iterations keep what they rest on, and the search finds the worst case."""

import numpy as np
import pytest
import torch

from pipelines.seeds.firenet.perturb import moved_by, movements
from pipelines.seeds.firenet.restarts import (
    Problem,
    Schedule,
    averaged,
    image_of,
    reconstruct,
    restarted,
    sampling,
    wavelets,
)
from pipelines.seeds.firenet.run import problem_of
from pipelines.seeds.firenet.subjects import blocks


def test_the_wavelets_are_orthonormal_and_sparse_on_blocks() -> None:
    x = torch.randn(16, 16, dtype=torch.float64)
    c = wavelets(x)
    assert torch.allclose(image_of(c), x, atol=1e-12)
    assert c.norm().item() == pytest.approx(x.norm().item(), rel=1e-12)
    assert (wavelets(blocks(0)).abs() > 1e-12).sum() < 200


def test_the_adjoint_is_that_of_the_measurement_which_lengthens_nothing() -> None:
    problem = Problem(sampling(16, 0.3, 0), 0.1)
    x = torch.randn(16, 16, dtype=torch.float64)
    y = torch.randn(16, 16, dtype=torch.complex128)
    forward = (problem.measure(x).conj() * y).sum().real.item()
    assert forward == pytest.approx((x * problem.adjoint(y)).sum().item(), abs=1e-12)
    assert problem.measure(x).norm() <= x.norm()


def test_a_mask_samples_its_share_and_all_low_frequencies() -> None:
    mask = sampling(64, 0.25, 3)
    assert mask.sum() == 1024 and set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask[:4, :4].all() and mask[-4:, -4:].all()


@pytest.mark.parametrize("inner", [3, 20])
@pytest.mark.parametrize("distance", [0.3, 2.0])
def test_the_gap_of_the_averages_is_within_its_bound(inner: int, distance: float) -> None:
    problem, truth, b = problem_of(0)
    start = torch.zeros_like(truth)
    found = averaged(problem, b, start, inner, distance)
    for c in (truth, 0.5 * truth, found):
        bound = ((c - start).square().sum().item() / distance + distance) / inner
        assert problem.objective(found, b) - problem.objective(c, b) <= bound + 1e-12


def test_each_restart_divides_the_error_by_e() -> None:
    problem, truth, b = problem_of(1)
    errors = [(c - truth).norm().item() for c in restarted(problem, b, Schedule(12, 20))]
    slopes = np.diff(np.log(errors))[3:]
    assert slopes == pytest.approx(-1, abs=0.05)
    assert errors[-1] < 1e-5


def test_the_error_left_is_a_multiple_of_the_noise() -> None:
    problem, truth, b = problem_of(2)
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(b.shape, generator=generator, dtype=b.dtype) * problem.mask
    for noise in (1e-3, 1e-2):
        size = noise * b.norm().item()
        data = b + e * (size / e.norm().item())
        found = reconstruct(problem, data, Schedule(12, 20, noise=noise))
        assert (wavelets(found) - truth).norm().item() < 3 * size


def test_the_search_finds_the_largest_singular_value_of_a_linear_map() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(6, 9, dtype=torch.float64)
    found = moved_by(lambda z: matrix @ z, torch.randn(9, dtype=torch.float64), 0.5, steps=200)
    largest = torch.linalg.matrix_norm(matrix, ord=2).item()
    assert found.worst == pytest.approx(0.5 * largest, rel=1e-6)
    assert found.random < found.worst
    assert found.change.norm().item() == pytest.approx(0.5)


def test_movements_are_shares_of_an_image_s_contrast() -> None:
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64) * 255
    doubled = torch.linspace(1, 4, 16, dtype=torch.float64).view_as(x)
    found = movements([(x, x / doubled)], lambda z: z * doubled, steps=200)
    length = 0.01 * (x / doubled).norm() / (x - x.mean()).norm()
    assert found.sought[0] == pytest.approx(4 * length.item(), rel=1e-3)
    assert length <= found.random[0] <= 4 * length
    assert found.own[0] < 1e-12
    moved = found.bearable[0] * (x / doubled).norm() * doubled.square().mean().sqrt()
    assert moved.item() == pytest.approx(0.5 * 16**0.5, rel=0.5)  # half a level everywhere
