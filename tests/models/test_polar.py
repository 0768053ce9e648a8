"""Products of matrices alone give what factorisations give."""

import torch

from medinv.models import polar


def test_orthogonal_factors_agree() -> None:
    torch.manual_seed(0)
    kernels = torch.eye(24) + 0.3 * torch.randn(3, 24, 24) / 24**0.5
    by_values = polar.factor_by_values(kernels)
    assert torch.allclose(by_values @ by_values.mT, torch.eye(24).expand(3, 24, 24), atol=1e-5)
    assert (polar.factor_by_products(kernels) - by_values).abs().max() < 1e-4


def test_positive_parts_agree() -> None:
    torch.manual_seed(0)
    draws = torch.randn(4, 3, 24, 24, dtype=torch.complex64)
    hermitian = 0.4 * torch.eye(24) - (draws + draws.mH) / 2 / 24**0.5
    by_values = polar.part_by_values(hermitian)
    assert torch.linalg.eigvalsh(by_values).min() > -1e-5
    assert torch.linalg.eigvalsh(by_values - hermitian).min() > -1e-5
    assert (polar.part_by_products(hermitian) - by_values).abs().max() < 2e-3
    assert by_values.abs().max() > 0.3


def test_nothing_is_left_of_what_is_not_positive() -> None:
    assert polar.part_by_products(-torch.eye(5).expand(2, 5, 5)).abs().max() < 1e-4
    assert polar.part_by_products(torch.zeros(2, 5, 5)).abs().max() == 0
