"""Where what speaks for a class lies, as far as it can be told."""

import numpy as np
import pytest

from medinv.explanation.place import AROUND, BLUR, EVENLY, SHARE, placed


@pytest.fixture
def evidence() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((64, 48))


def test_all_that_speaks_for_the_class_is_kept_and_nothing_else(evidence: np.ndarray) -> None:
    """The sum is that of the contributions above zero; none below is left."""
    told = placed(evidence)
    assert told.min() >= 0
    assert told.sum() == pytest.approx(evidence.clip(0).sum())


def test_what_lies_outside_the_region_does_not_count(evidence: np.ndarray) -> None:
    """However loud it is, it moves nothing."""
    region = np.zeros(evidence.shape, bool)
    region[16:48, 12:36] = True
    louder = np.where(region, evidence, 100.0)
    assert np.array_equal(placed(evidence, region), placed(louder, region))
    assert placed(louder, region).sum() == pytest.approx(evidence.clip(0)[region].sum())


def test_one_loud_pixel_counts_less_than_a_place_that_agrees() -> None:
    """A pixel three times as high as a disc is not named before the disc."""
    rows, columns = np.mgrid[:64, :64]
    evidence = 1.0 * ((rows - 20) ** 2 + (columns - 20) ** 2 < 25)
    evidence[50, 50] = 3.0
    assert np.unravel_index(placed(evidence).argmax(), evidence.shape) == (20, 20)


def test_what_speaks_against_beside_it_does_not_hide_it() -> None:
    """A spot keeps its size in surroundings of the other sign."""
    evidence = np.full((64, 64), -5.0)
    evidence[30:34, 30:34] = 1.0
    alone = np.where(evidence > 0, evidence, 0.0)
    assert np.array_equal(placed(evidence), placed(alone))


def test_volumes_are_averaged_along_every_axis_by_its_own_length() -> None:
    """Half the slices, half as many of them around a voxel."""
    evidence = np.zeros((32, 64, 64))
    evidence[16, 32, 32] = 1.0
    told = placed(evidence, share=0, evenly=0)
    spread = [
        np.sqrt((told.sum(tuple(set(range(3)) - {axis})) * (np.arange(n) - n // 2) ** 2).sum())
        for axis, n in enumerate(evidence.shape)
    ]
    assert spread[1] == pytest.approx(spread[2])
    assert spread == pytest.approx([BLUR * n for n in evidence.shape], rel=0.1)


def test_of_two_silent_places_the_nearer_one_ranks_before() -> None:
    """Beyond the reach of the narrow average; and the place itself stays what is told."""
    spot = np.zeros((64, 64))
    spot[20:24, 20:24] = 1.0
    told, near = placed(spot, evenly=0), placed(spot, share=0, evenly=0)
    assert near[22, 35] < 1e-6 * near.max()
    assert told[22, 35] > 2 * told[22, 45] > 0
    assert told[22, 35] < SHARE * told.max() and BLUR < AROUND
    assert (told > told.max() / 2).sum() <= 1.1 * (near > near.max() / 2).sum()


def test_a_silent_place_of_the_region_ranks_before_what_lies_outside() -> None:
    """However far from what speaks, and well below it; only the share that is told evenly is."""
    evidence, region = np.zeros((64, 64)), np.zeros((64, 64), bool)
    region[10:54, 10:54] = True
    evidence[14:20, 14:20] = 1.0
    told, rest = placed(evidence, region), placed(evidence, region, evenly=0)
    inner = told[30:50, 30:50]
    assert rest[40, 40] < 1e-3 * rest.max() and told[60, 60] < 0.01 * inner.min()
    assert inner.max() < 0.02 * told.max()
    assert inner.sum() == pytest.approx(
        EVENLY * evidence.sum() * inner.size / region.sum(), rel=0.1
    )


def test_of_a_foreign_image_a_place_that_moves_the_answer_ranks_before_a_louder_one() -> None:
    """The sum stays; where nothing speaks, nothing is told. By what is zero none is ranked."""
    evidence, moves = np.zeros((64, 64)), np.full((64, 64), 0.01)
    evidence[10:16, 10:16], evidence[40:46, 40:46] = 2.0, 1.0
    moves[40:46, 40:46], moves[20:26, 40:46] = 1.0, 50.0
    loud, told = placed(evidence), placed(evidence, sensitivity=moves)
    assert loud[13, 13] > 1.5 * loud[43, 43] and told[43, 43] > 4 * told[13, 13]
    assert told[23, 43] < 0.05 * told.max()
    assert told.sum() == pytest.approx(evidence.sum())
    assert np.array_equal(placed(evidence, sensitivity=np.zeros((64, 64))), loud)


def test_where_every_pixel_moves_the_answer_alike_the_order_stays() -> None:
    """And with no power of the sensitivity, every value does."""
    evidence = np.random.default_rng(1).standard_normal((32, 32))
    alike, moves = np.full((32, 32), 7.0), np.random.default_rng(2).random((32, 32))
    flat = placed(evidence, sensitivity=alike, share=0, evenly=0, blur=0)
    plain = placed(evidence, share=0, evenly=0, blur=0)
    assert np.array_equal(np.argsort(flat, None), np.argsort(plain, None))
    np.testing.assert_allclose(placed(evidence, sensitivity=moves, leaning=0), placed(evidence))
