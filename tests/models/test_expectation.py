"""What belongs in a part of an image is the conditional mean of a Gaussian."""

import pytest
import torch
from torch.nn import functional as F

from medinv.models.expectation import LEAST, fit_expectation
from medinv.models.transport import SIDE, coarse


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """(60, 1, 32, 32) float64, smooth, each with its own brightness at left and right."""
    torch.manual_seed(0)
    seeds = torch.rand(60, 1, 4, 4, dtype=torch.float64) * 120 + 40
    return F.interpolate(seeds, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def test_it_is_the_conditional_mean_of_the_dense_gaussian(images) -> None:
    found = fit_expectation(images, torch.tensor([0] * 50 + [1] * 10), 12)
    region = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    region[..., 8:16, 10:20] = 1
    inside = region.flatten() == 1
    axes, variances, rest, centre = (
        t.double() for t in (found.axes, found.variances, found.rest, found.centre)
    )
    covariance = axes @ variances.diag() @ axes.T + rest.diag()
    x = images[55:56]
    seen = coarse(x)[0, ~inside] - centre[~inside]
    wanted = centre[inside] + covariance[inside][:, ~inside] @ torch.linalg.solve(
        covariance[~inside][:, ~inside], seen
    )
    filled = found.fill(x, region)
    assert torch.allclose(filled.flatten()[inside], wanted, atol=1e-5)
    assert (filled.flatten()[~inside] == x.flatten()[~inside]).all()


def test_what_rises_above_what_belongs_there_is_found_where_it_was_put(images) -> None:
    sick = images.clone()
    sick[30:, :, 20:24, 4:8] += 40
    found = fit_expectation(sick, torch.tensor([0] * 30 + [1] * 30), 8)
    row, column = divmod(int(found.rises.argmax()), SIDE)
    assert 20 <= row < 24 and 4 <= column < 8
    assert (found.rises >= 0).all() and (found.rest >= LEAST).all()


def test_fine_texture_stays(images) -> None:
    found = fit_expectation(images, torch.tensor([0] * 50 + [1] * 10), 12)
    x = F.interpolate(images[55:56], scale_factor=2)
    texture = torch.ones(1, 1, 2, 2, dtype=torch.float64) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    region = torch.ones_like(x)
    region[..., 32:, :] = 0
    smooth, textured = (
        found.fill(image, region) for image in (x, x + 3 * texture.repeat(1, 1, SIDE, SIDE))
    )
    assert torch.allclose(textured - smooth, 3 * texture.repeat(1, 1, SIDE, SIDE), atol=1e-8)


def test_of_a_finding_that_is_filled_in_little_is_left_in_a_larger_image(images) -> None:
    found = fit_expectation(images, torch.tensor([0] * 50 + [1] * 10), 12)
    plain = F.interpolate(images[55:56], scale_factor=4, mode="bilinear", align_corners=False)
    rows = torch.arange(4 * SIDE, dtype=torch.float64) - 2 * SIDE
    distance = (rows[:, None] ** 2 + rows**2).sqrt()
    finding = torch.sigmoid((14 - distance) / 1.5)[None, None]
    region = (distance < 24).double()[None, None]
    filled = found.fill(plain + 80 * finding, region)
    left = ((filled - found.fill(plain, region)) * finding).sum() / (80 * finding.sum())
    assert abs(left) < 0.02
