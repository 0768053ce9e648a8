"""Local counterfactuals: an opacity is taken away where the model saw it, and a faint one added."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from medinv.data.phantoms import VALIDATION_SEED, Recipe, draw
from medinv.data.phantoms.sets import thumbnail, thumbnails
from medinv.explanation.counterfactual.brightening import Candidates, brighten, bumps
from medinv.explanation.counterfactual.inpainting import region
from medinv.explanation.explain import explain
from medinv.models.store import load

BODY = 20_000  # of the validation seed: one opacity that is plain to see


@pytest.fixture(scope="module")
def subject():
    """The shipped phantom model in float32."""
    return load("phantom-opacity", dtype=torch.float32).requires_grad_(False)


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A body without and with its opacity (64, 64) uint8, and the opacity's mask."""
    phantom = draw(VALIDATION_SEED, BODY, Recipe(opacity_share=1.0, subtle_share=0.0))
    return *thumbnails(phantom, 64), thumbnail(phantom, 64)[1]


def test_the_opacity_is_taken_away_and_the_rest_stays(subject, pictures) -> None:
    clear, sick, mask = pictures
    edit = explain(subject, sick[None]).counterfactual
    assert (
        edit.method == "inpainting" and edit.valid and edit.target == "clear" and edit.changed < 0.2
    )
    rise = [(image.astype(float) - clear)[mask].mean() for image in (sick, edit.image)]
    assert abs(rise[1]) < 0.5 * rise[0]
    assert (edit.image == sick)[~binary_dilation(mask, iterations=16)].mean() > 0.95
    assert all(((frame == sick) | (edit.image != sick)).mean() > 0.97 for frame in edit.strip), (
        "nothing changes on the way that does not change in the end"
    )


def test_a_faint_opacity_is_put_inside_the_body(subject, pictures) -> None:
    edit = explain(subject, pictures[0][None]).counterfactual
    assert (
        edit.method == "brightening"
        and edit.valid
        and edit.target == "opacity"
        and edit.changed < 0.1
    )
    assert edit.difference.min() >= 0 and 3 < edit.difference.max() <= 90
    assert pictures[0][edit.difference > 2].mean() > 12


def test_without_what_belongs_there_the_edit_goes_through_the_features(subject, pictures) -> None:
    model = copy(subject)
    model.reference = replace(subject.reference, expectation=None)
    assert explain(model, pictures[1][None]).counterfactual.method == "direction"


def test_more_is_put_where_more_is_asked_for(subject, pictures) -> None:
    x = torch.from_numpy(pictures[0][None, None]).float()
    little, much = (
        brighten(
            subject,
            subject.reference.expectation,
            x,
            candidates=Candidates(places=4, radii=(3.0,), share=share),
        )
        for share in (0.2, 1.0)
    )
    assert 0 < (little - x).sum() < (much - x).sum()


def test_places_lie_apart_and_peak_at_one(subject) -> None:
    found = bumps(
        subject.reference.expectation,
        torch.zeros(1, 1, 64, 64),
        Candidates(places=10, radii=(3.0,)),
    )
    assert (
        found.shape == (10, 1, 64, 64)
        and (found.flatten(1).amax(1) > 0.95).all()
        and (found.flatten(1).amax(1) <= 1).all()
    )
    peaks = torch.stack([torch.tensor(divmod(int(spot.argmax()), 64)) for spot in found]).double()
    assert torch.pdist(peaks).min() > 4


def test_a_region_holds_what_is_strong_and_a_margin() -> None:
    evidence = np.zeros((64, 64))
    evidence[30:34, 20:24] = 1
    evidence[50, 50] = 0.4
    found = region(evidence, 0.5, 3)
    assert (
        (found[30:34, 20:24] > 0.99).all()
        and found[32, 26] > 0.5
        and found[32, 34] == 0
        and found[50, 50] == 0
        and found.max() <= 1
    )
