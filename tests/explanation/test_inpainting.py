"""The part that is filled in is the smallest that suffices, tried as stored."""

import numpy as np
import pytest
import torch

from medinv.explanation.counterfactual.inpainting import Extent, counterfactual, inpaint, region
from medinv.explanation.local import FEATHER, SHARPENED, local_evidence
from medinv.explanation.trunk import uncalibrated


@pytest.fixture
def subject(explained, tiny_images):
    """The tiny model, an image of the positive class and its map."""
    with torch.no_grad():
        x = tiny_images[explained.logits(tiny_images)[:, 1].argmax()][None]
    return explained, x, local_evidence(explained, x, explained.reference.states)


def tried(subject, extent: Extent) -> tuple[torch.Tensor, torch.Tensor]:
    """Every part filled in, and the log-odds of what would be stored of it."""
    model, x, local = subject
    masks = [region(local.locations, level, extent.margin) for level in extent.levels]
    masks = torch.from_numpy(np.stack(masks))[:, None]
    filled = model.reference.expectation.fill(x.expand(len(masks), -1, -1, -1), masks)
    with torch.no_grad():
        return filled, uncalibrated(model, model.features(filled.clamp(0, 255).round()))


@pytest.mark.parametrize("wanted", range(4))
def test_the_first_part_that_reaches_the_log_odds_is_taken(subject, wanted) -> None:
    model, x, local = subject
    levels = (0.9, 0.5, 0.2, 0.02)
    filled, odds = tried(subject, Extent(levels=levels, margin=1))
    with torch.no_grad():
        model.decision_logit.fill_(1e6)
        model.typical_odds[0] = 2 * (odds[wanted] + 1e-9)
    model.typical_odds[1] = 1e6
    first = int((odds <= odds[wanted] + 1e-9).int().argmax())
    found = inpaint(
        model,
        model.reference.expectation,
        x,
        local.locations,
        extent=Extent(levels=levels, margin=1, share=0.5),
    )
    assert torch.equal(found[0], filled[first])


def test_where_none_suffices_the_nearest_is_taken(subject) -> None:
    model, x, local = subject
    extent = Extent(levels=(0.9, 0.5, 0.2, 0.02), margin=1)
    filled, odds = tried(subject, extent)
    assert odds.argmin() != odds.argmax()
    model.typical_odds[0] = -1e6
    found = inpaint(model, model.reference.expectation, x, local.locations, extent=extent)
    assert torch.equal(found[0], filled[odds.argmin()])
    model.typical_odds[0] = 1e6
    model.decision_logit.fill_(-1e6)
    found = inpaint(model, model.reference.expectation, x, local.locations, extent=extent)
    assert torch.equal(found[0], filled[odds.argmin()]), "it must also be called the other class"


def test_a_part_is_tried_as_it_would_be_stored(subject) -> None:
    model, x, local = subject
    bright = model.reference.expectation.centre
    object.__setattr__(model.reference.expectation, "centre", bright + 300)
    try:
        extent = Extent(levels=(0.9, 0.5, 0.2, 0.02), margin=1)
        filled, odds = tried(subject, extent)
        assert filled.max() > 300
        model.typical_odds[0] = -1e6
        found = inpaint(model, model.reference.expectation, x, local.locations, extent=extent)
        assert torch.equal(found[0], filled[odds.argmin()])
    finally:
        object.__setattr__(model.reference.expectation, "centre", bright)


def test_only_towards_the_negative_class_with_local_evidence(subject) -> None:
    model, x, local = subject
    edit = counterfactual(model, x, 0, local)
    assert edit.method == "inpainting" and edit.target == model.classes[0]
    assert counterfactual(model, x, 1, local) is None and counterfactual(model, x, 0, None) is None
    model.reference = None
    assert counterfactual(model, x, 0, local) is None


def test_a_region_is_what_is_strong_with_a_margin_and_a_soft_edge() -> None:
    evidence = np.full((41, 41), -1.0)
    evidence[20, 20], evidence[20, 21], evidence[0, 0] = 1.0, 0.5, 0.49
    found = region(evidence, 0.5, 2)
    assert found[20, 20] == found[20, 21] == 1 and found[0, 0] == 0
    assert 0 < found[20, 17] < 1 and found[20, 24] > found[20, 16]
    assert (found > 0).sum() < 400 and FEATHER > 0 and SHARPENED > 1
    assert region(evidence, 0.4, 2)[0, 0] > 0.9
