"""Bounds that hold for every image size, against the singular values on many sizes."""

import math

import pytest
import torch

from medinv.layers import spectrum_bounds
from medinv.layers.linalg import symbol as symbols
from medinv.layers.linalg.padding import matrix


def _kernel(channels: int, shape: tuple[int, ...], spread: float, groups: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    weight = spread * torch.randn(
        channels, channels // groups, *shape, dtype=torch.float64, generator=generator
    )
    weight[
        (
            range(channels),
            [i % (channels // groups) for i in range(channels)],
            *[s // 2 for s in shape],
        )
    ] += 1
    return weight


KERNELS = [
    (_kernel(3, (3, 3), 0.05), 1),
    (_kernel(4, (3, 3), 0.12), 1),
    (_kernel(4, (3, 3), 0.1, 2), 2),
    (_kernel(2, (5, 5), 0.05), 1),
    (_kernel(2, (3, 3, 3), 0.04), 1),
    (_kernel(3, (1, 1), 0.3), 1),
]


@pytest.mark.parametrize("weight, groups", KERNELS)
def test_no_image_size_leaves_the_bounds_and_they_are_tight(weight, groups) -> None:
    found = spectrum_bounds(weight, groups)
    met = []
    for n in (1, 2, 3, 4, 5, 7, 8, 11, 16, 23) if weight.ndim == 4 else (1, 2, 3, 5, 8):
        for other in (n, n + 1, 2 * n):
            met.append(symbols.singular_values(weight, (n, *[other] * (weight.ndim - 3)), groups))
    largest, smallest = max(v.max().item() for v in met), min(v.min().item() for v in met)
    assert largest <= found.largest * (1 + 1e-12) and smallest >= found.smallest * (1 - 1e-12)
    assert found.largest <= found.sampled[0] * 1.07 and found.smallest >= 0.95 * found.sampled[
        1
    ] * (1 - 1e-9)
    assert found.condition >= largest / smallest


def test_the_upper_bound_holds_for_zero_padding() -> None:
    weight = _kernel(2, (3, 3), 0.2)
    assert (
        torch.linalg.svdvals(matrix(weight, (9, 8), "zeros"))[0].item()
        <= spectrum_bounds(weight).largest
    )


def test_a_kernel_that_loses_a_wave_at_some_size_has_no_lower_bound() -> None:
    weight = torch.tensor([[[[0, 0, 0], [0.25, 0.5, 0.25], [0, 0, 0]]]], dtype=torch.float64)
    found = spectrum_bounds(weight)
    assert (
        found.smallest == 0
        and found.condition == math.inf
        and found.largest == pytest.approx(1, rel=0.01)
    )


def test_a_spent_budget_still_gives_a_bound_that_holds() -> None:
    weight = _kernel(4, (3, 3), 0.12)
    loose, tight = spectrum_bounds(weight, budget=0), spectrum_bounds(weight)
    assert 0 <= loose.smallest <= tight.smallest <= tight.sampled[1]


@pytest.mark.parametrize("weight, groups", KERNELS)
def test_the_penalty_is_the_mean_over_frequencies_in_every_geometry(weight, groups) -> None:
    size = (9,) * (weight.ndim - 2)
    symbol = symbols.symbol(weight, size, groups)
    departure = (
        (symbol.mH @ symbol - torch.eye(symbol.shape[-1])).abs().square().flatten(len(size)).sum(-1)
    )
    mean = (departure * symbols.multiplicities(9, weight)).sum() / 9 ** len(size)
    assert symbols.orthogonality_penalty(weight, groups).item() == pytest.approx(
        mean.item(), rel=1e-12
    )
