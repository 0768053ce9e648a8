"""Scattering keeps its bounds, the bounds are tight enough to break, and the measures measure."""

import pytest
import torch

from pipelines.seeds.stability.measures import (
    DenseScattering,
    deformed,
    expansions,
    lengths,
    moved,
)


@pytest.fixture
def front() -> DenseScattering:
    return DenseScattering(32, scales=2, orientations=4).double()


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, side, side, generator=generator, dtype=torch.float64)


def test_an_admissible_frame_lengthens_nothing_even_where_it_is_sought(front) -> None:
    assert front.frame_bounds()[1] == pytest.approx(1, abs=1e-6)
    x = images()
    wave = torch.cos(2 * torch.pi * torch.arange(32).double() / 32).expand(1, 1, 32, 32)
    for given in (x, wave + 1e-3 * x[:1]):
        met, sought = expansions(front, given, iterations=10)
        assert met <= 1 + 1e-9 and sought <= 1 + 1e-9


def test_filters_a_tenth_too_long_are_seen_to_lengthen(front) -> None:
    front.low.mul_(1.1)
    assert front.frame_bounds()[1] == pytest.approx(1.21, abs=1e-3)
    constant = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    met, _ = expansions(front, constant, iterations=2)
    assert met > 1.05


def test_coefficients_shift_with_the_image(front) -> None:
    x = images()
    assert torch.allclose(front(x.roll(5, -1)), front(x).roll(5, -1), atol=1e-12)


@pytest.mark.parametrize("pixels", [1, 4])
def test_a_shift_moves_coefficients_by_no_more_than_proven(front, pixels) -> None:
    x = images()
    x = x - x.mean((1, 2, 3), keepdim=True)
    gap = lengths(front(x.roll(pixels, -1)) - front(x)) / lengths(x)
    bound = front.shift_bound(pixels)
    assert (gap <= bound).all() and bound < 3**0.5 * 2
    assert moved(front, x, x.roll(pixels, -1)) == pytest.approx(gap.max().item())


def test_coarser_averages_are_moved_less() -> None:
    x = images(side=64)
    found = [
        moved(DenseScattering(64, scales=j, orientations=4).double(), x, x.roll(1, -1))
        for j in (1, 2, 3)
    ]
    assert found == sorted(found, reverse=True)


def test_a_deformation_is_as_strong_as_it_says() -> None:
    line = torch.arange(64, dtype=torch.float64)
    wave = torch.sin(2 * torch.pi * line / 64).expand(1, 1, 64, 64)
    assert torch.allclose(deformed(wave, 0.0), wave, atol=1e-9)
    small, large = ((deformed(wave, s) - wave).norm().item() for s in (0.01, 0.02))
    assert large / small == pytest.approx(2, rel=0.02)
    # The field moves by at most strength n / 2 pi pixels, the wave's slope is 2 pi / n.
    assert (deformed(wave, 0.02) - wave).abs().max().item() == pytest.approx(0.02, rel=0.02)
