"""The brightening that is added is the least that suffices, tried as stored."""

from dataclasses import replace

import pytest
import torch

from medinv.explanation.counterfactual.brightening import (
    Candidates,
    brighten,
    bumps,
    counterfactual,
)
from medinv.explanation.trunk import uncalibrated
from medinv.models.transport import SIDE

CANDIDATES = Candidates(places=6, radii=(1.0, 2.0), finalists=12, halvings=8, share=1.0)


def odds(model, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return uncalibrated(model, model.features(x))


@pytest.fixture
def subject(explained, tiny_images):
    """The tiny model, an image of the negative class, and 12 brightenings that are tried."""
    x = tiny_images[odds(explained, tiny_images).argmin()][None]
    return explained, x, bumps(explained.reference.expectation, x, CANDIDATES)


def stored(x: torch.Tensor, spots: torch.Tensor, amount: float) -> torch.Tensor:
    return (x + amount * spots).clamp(0, 255).round()


def least(model, x: torch.Tensor, spot: torch.Tensor, wanted: float) -> torch.Tensor | None:
    """The image with the faintest brightening of one spot that suffices, by halving alone."""
    low, high = 0.0, CANDIDATES.most
    for _ in range(CANDIDATES.halvings):
        middle = (low + high) / 2
        enough = odds(model, stored(x, spot, middle)).item() >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return x + high * spot if odds(model, stored(x, spot, high)).item() >= wanted else None


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_it_is_the_least_that_reaches_what_is_asked_for(subject, share) -> None:
    model, x, spots = subject
    own = odds(model, x).item()
    most = odds(model, stored(x, spots, CANDIDATES.most)).max().item()
    wanted = own + 0.1 * (most - own)
    model.typical_odds[1], model.typical_odds[0] = wanted / share, -1e6
    found = brighten(
        model, model.reference.expectation, x, candidates=replace(CANDIDATES, share=share)
    )
    tried = [least(model, x, spot, wanted) for spot in spots.split(1)]
    reached = [image for image in tried if image is not None]
    sizes = [(image.clamp(0, 255).round() - x).norm().item() for image in reached]
    assert max(sizes) > 1.2 * min(sizes), "the choice matters"
    assert torch.allclose(found, reached[sizes.index(min(sizes))])


def test_where_none_suffices_the_most_convincing_is_added(subject) -> None:
    model, x, spots = subject
    model.typical_odds[1], model.typical_odds[0] = 1e6, -1e6
    found = brighten(model, model.reference.expectation, x, candidates=CANDIDATES)
    tried = odds(model, stored(x, spots, CANDIDATES.most))
    assert torch.allclose(found, x + CANDIDATES.most * spots[tried.argmax()][None])


def test_places_are_compared_by_what_they_gain_for_their_size(explained, tiny_images) -> None:
    explained.typical_odds[1] = 1e6
    expectation, others = explained.reference.expectation, 0
    candidates = replace(CANDIDATES, radii=(4.0, 32.0), finalists=1)
    for x in tiny_images.split(1):
        spots = bumps(expectation, x, candidates)
        rise = odds(explained, stored(x, spots, candidates.first)) - odds(explained, x)
        gain = rise / spots.flatten(1).norm(dim=1)
        found = brighten(explained, expectation, x, candidates=candidates)
        assert torch.allclose(found, x + candidates.most * spots[gain.argmax()][None])
        others += int(gain.argmax() != rise.argmax())
    assert others, "the larger ones rise more, for more"


def test_places_are_where_findings_lie_and_keep_apart(explained) -> None:
    rises = torch.zeros(SIDE, SIDE)
    rises[8, 20], rises[8, 21], rises[24, 4] = 3.0, 2.0, 1.0
    expectation = replace(explained.reference.expectation, rises=rises.flatten())
    x = torch.zeros(1, 1, 64, 96).double()
    found = bumps(expectation, x, Candidates(places=9, radii=(3.0, 5.0)))
    assert found.shape == (4, 1, 64, 96), "two places: a third lies too near to the first"
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    for spot, centre in ((found[0, 0], (16.5, 61.0)), (found[2, 0], (48.5, 13.0))):
        weight = spot / spot.sum()
        assert (weight * down).sum().item() == pytest.approx(centre[0], abs=0.05)
        assert (weight * across).sum().item() == pytest.approx(centre[1], abs=0.05)
    assert found[1].sum() > 2 * found[0].sum()


def test_only_towards_the_positive_class_of_a_model_that_knows_where(
    explained, tiny_images
) -> None:
    x = tiny_images[:1]
    edit = counterfactual(explained, x, 1)
    assert edit.method == "brightening" and edit.target == explained.classes[1]
    assert counterfactual(explained, x, 0) is None
    explained.reference = replace(explained.reference, expectation=None)
    assert counterfactual(explained, x, 1) is None
