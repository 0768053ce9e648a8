"""The smallest part of the region that changes the answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medinv.explanation.counterfactual.smallest import Search, cells, find, pruned, with_cells
from medinv.explanation.explain import explain
from medinv.models.region import Donors, Template

SIDE = 16


@pytest.fixture
def asked(explained, tiny_data):
    """The tiny model with a region in the middle, and its training images as donors."""
    mask = torch.zeros(SIDE, SIDE)
    mask[2:14, 2:14] = 1
    films = torch.from_numpy(tiny_data.train.images)
    template = Template(films.float().mean(0)[0], mask)
    labels = torch.from_numpy(tiny_data.train.labels)
    donors = Donors(films, labels, template.place(films.float()))
    explained.reference = replace(explained.reference, region=template, donors=donors)
    return explained


def region_of(model, x) -> np.ndarray:
    return model.reference.region.inside(x)[0, 0].numpy()


def test_cells_part_the_region_and_no_sliver_is_one_of_its_own():
    rows, columns = np.indices((40, 40))
    disc = (rows - 19.5) ** 2 + (columns - 19.5) ** 2 < 17**2
    numbers = cells(disc, 8)
    assert ((numbers > 0) == disc).all()
    sizes = np.bincount(numbers[disc])[1:]
    assert sizes.min() >= 16 and len(sizes) == numbers.max()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_holds_and_no_cell_of_it_can_be_left_out(seed):
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=30)
    needed = rng.integers(0, 30, 2)

    def holds(chosen):
        return (chosen @ weights > 0.4 * weights.sum()) & chosen[:, needed].any(1)

    left = pruned(np.ones(30, bool), holds)
    assert holds(left[None])[0] and left.sum() < 30
    for cell in np.flatnonzero(left):
        without = left.copy()
        without[cell] = False
        assert not holds(without[None])[0]


def test_a_part_flips_as_stored_and_any_cell_less_does_not(asked, tiny_images):
    found = 0
    for x in tiny_images[:6].split(1):
        label = int(asked.called(asked.logits(x))[0])
        target = asked.classes[1 - label]
        part = find(asked, x, target, region_of(asked, x), search=Search(across=8))
        assert part.target == target and part.cells > 4
        if part.edit is None:
            assert part.chosen == 0 and not part.mask.any() and not part.valid
            continue
        found += 1
        stored = torch.from_numpy(part.edit.image)[None, None].to(x)
        assert int(asked.called(asked.logits(stored))[0]) == 1 - label
        assert part.valid and part.edit.method == "smallest"
        assert 0 < part.share <= 1 and not part.mask[~region_of(asked, x)].any()
        far = torch.nn.functional.max_pool2d(
            torch.from_numpy(part.mask)[None, None].float(), 9, 1, 4
        )[0, 0]
        assert (part.edit.difference[far.numpy() == 0] == 0).all(), "all else stays as it was"
    assert found


def test_only_the_chosen_cells_change():
    x, other = torch.zeros(1, 1, SIDE, SIDE), torch.full((1, 1, SIDE, SIDE), 100.0)
    numbers = cells(np.ones((SIDE, SIDE), bool), 8)
    chosen = np.zeros((2, numbers.max()), bool)
    chosen[1, numbers[0, 0] - 1] = True
    none, one = with_cells(x, other, numbers, chosen)
    assert not none.any() and one[0, 0, 0] == 100 and one[0, -1, -1] == 0


def test_it_is_told_with_the_report_and_only_by_models_that_keep_donors(asked, tiny_images):
    image = tiny_images[0].byte().numpy()
    told = explain(asked, image, detail="report").smallest_part
    assert told.target == explain(asked, image).counterfactual.target
    assert explain(asked, image).smallest_part is None, "not at brief"
    asked.reference = replace(asked.reference, donors=None)
    assert explain(asked, image, detail="report").smallest_part is None
