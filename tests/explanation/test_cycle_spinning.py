"""Copies of an image come back where they were, and the way back of a map keeps its sum."""

import pytest
import torch

from medinv.explanation.cycle_spinning import MOVES, copies, moved, moved_back


@pytest.mark.parametrize("move", [(0, 0), (1, -1), (-1, 2), (2, 2)])
@pytest.mark.parametrize("size", [(7, 6), (3, 5, 6)], ids=["image", "volume"])
def test_the_way_back_is_the_adjoint(move, size) -> None:
    generator = torch.Generator().manual_seed(0)
    x, maps = (torch.randn(2, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    back = moved_back(maps, move)
    assert (moved(x, move) * maps).sum().item() == pytest.approx((x * back).sum().item(), abs=1e-10)
    assert torch.allclose(back.flatten(1).sum(1), maps.flatten(1).sum(1)), (
        "the sum of every map stays"
    )


def test_a_mark_moves_down_and_right_and_its_map_comes_back() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[..., 3, 4] = 1
    assert moved(x, (2, -1))[..., 5, 3] == 1 and torch.equal(
        moved_back(moved(x, (2, -1)), (2, -1)), x
    )


def test_copies_take_every_place_on_a_grid_of_four_pixels_and_are_the_same_at_every_call() -> None:
    x = torch.rand(2, 1, 8, 8) * 200
    first, again = list(copies(x, 4.0)), list(copies(x, 4.0))
    assert {(down % 4, right % 4) for down, right in MOVES} == {
        (down, right) for down in range(4) for right in range(4)
    } and (0, 0) in MOVES
    assert all(torch.equal(one[1], other[1]) for one, other in zip(first, again, strict=True))
    noise = torch.stack([copy - moved(x, move) for move, copy in first])
    assert noise.std().item() == pytest.approx(4.0, rel=0.05) and torch.allclose(
        noise[:, 0], noise[:, 1], atol=1e-4
    ), "every image in the same noise"
    assert all(torch.equal(copy, moved(x, move)) for move, copy in copies(x, 0.0))
