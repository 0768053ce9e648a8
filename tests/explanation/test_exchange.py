"""The region of a training image of the other class, in this image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medinv.explanation import counterfactual
from medinv.explanation.counterfactual.exchange import Choice, exchanged
from medinv.explanation.explain import explain
from medinv.models.region import Donors, Template
from medinv.models.store import load

SIDE = 16
CHOICE = Choice(margins=(0.0,), edge=0.06)


@pytest.fixture(scope="module")
def template(tiny_data) -> Template:
    mask = torch.zeros(SIDE, SIDE)
    mask[4:12, 4:12] = 1
    return Template(torch.from_numpy(tiny_data.train.images).float().mean(0)[0], mask)


@pytest.fixture(scope="module")
def donors(tiny_data, template) -> Donors:
    films, labels = (
        torch.from_numpy(tiny_data.train.images),
        torch.from_numpy(tiny_data.train.labels),
    )
    return Donors(films, labels, template.place(films.float()))


def test_only_the_region_is_another_images(tiny_data, template) -> None:
    x = torch.from_numpy(tiny_data.test.images[:1]).double()
    place = template.place(x.float())
    white = Donors(
        torch.full((2, 1, SIDE, SIDE), 255, dtype=torch.uint8), torch.ones(2), place.expand(2, 4)
    )
    (made,) = exchanged(template, white, x, 1, choice=replace(CHOICE, nearest=1))
    mask = template.masks(place)[0]
    beyond = torch.nn.functional.max_pool2d(mask[None], 5, 1, 2)[0] == 0
    assert beyond.any() and torch.equal(made[beyond], x[0][beyond])
    inner = torch.nn.functional.avg_pool2d(mask[None], 3, 1, 1)[0] == 1
    assert inner.any() and (made[inner] == 255).all()
    assert not len(exchanged(template, white, x, 0, choice=CHOICE)), "no donor of that class"


def test_the_donor_most_alike_around_the_region_comes_first(tiny_data, template, donors) -> None:
    x = donors.films[3:4].double()
    first = exchanged(template, donors, x, int(donors.labels[3]), choice=CHOICE)[0]
    assert torch.allclose(first, x[0], atol=1e-3), "its own film is most like it"


def test_it_is_tried_after_the_local_ways_and_told_only_if_it_holds(
    explained, tiny_images, template, donors
) -> None:
    model, x = explained, tiny_images[:1]
    model.reference = replace(model.reference, expectation=None, region=template, donors=donors)
    for target in (0, 1):
        edit, _ = counterfactual.counterfactual(model, x, target, None)
        tried = counterfactual.exchange.counterfactual(model, x, target)
        assert tried.method == "exchange" and tried.target == model.classes[target]
        assert edit.method == ("exchange" if tried.valid else "transport")
    model.reference = replace(model.reference, donors=None)
    assert counterfactual.exchange.counterfactual(model, x, 0) is None


def test_the_shipped_chest_model_shows_the_lungs_of_another_child() -> None:
    model = load("chest-xray")
    donors = model.reference.donors
    ill = donors.films[donors.labels == 1][0].byte().numpy()
    edit = explain(model, ill).counterfactual
    assert edit.method in ("inpainting", "exchange") and edit.valid and edit.target == "normal"
    inside = model.reference.region.inside(torch.from_numpy(ill)[None])[0, 0].numpy()
    assert np.square(edit.difference)[inside].sum() > 0.5 * np.square(edit.difference).sum()
    model.reference = None
    assert explain(model, ill).counterfactual.method == "direction"
