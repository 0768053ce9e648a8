"""Muon: updates that move all directions of a kernel alike, and learn."""

import torch

from medinv.training.muon import Muon, orthogonal


def test_updates_are_about_orthogonal_whatever_the_gradient() -> None:
    torch.manual_seed(0)
    for shape in ((8, 30), (30, 8), (16, 16)):
        u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
        spread = u @ torch.diag(torch.logspace(0, -1, min(shape))) @ v  # directions of 1 to 0.1
        values = torch.linalg.svdvals(orthogonal(spread, steps=5))
        assert values.min() > 0.4 and values.max() < 1.4


def test_a_kernel_is_found_and_the_state_is_kept() -> None:
    torch.manual_seed(0)
    truth, found = torch.randn(4, 3, 3, 3) / 5, torch.nn.Parameter(torch.zeros(4, 3, 3, 3))
    optimiser = Muon([found], lr=0.1)
    first = None
    for step in range(150):
        x = torch.randn(16, 3, 8, 8)
        loss = (torch.conv2d(x, truth) - torch.conv2d(x, found)).square().mean()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 150)
        optimiser.step()
    assert loss.item() < 0.01 * first
    other = Muon([found], lr=0.1)
    other.load_state_dict(optimiser.state_dict())
    assert torch.equal(other.state[found]["momentum"], optimiser.state[found]["momentum"])


def test_rescaled_kernels_keep_rows_of_unit_norm() -> None:
    weight = torch.nn.Parameter(100 * torch.randn(4, 3, 3, 3))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, rescale=True).step()
    assert torch.isclose(weight.norm(), torch.tensor(2.0))
