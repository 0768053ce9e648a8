"""Along the class direction: the log-odds aimed at, and re-checks of what would be stored."""

import pytest
import torch

from medinv.explanation.counterfactual.direction import (
    counterfactual,
    from_features,
    from_image,
    towards,
    uncalibrated,
)
from medinv.explanation.result import CHANGED


@pytest.mark.parametrize("target", [0, 1])
def test_the_features_move_to_the_typical_log_odds_of_the_target(
    explained, tiny_images, target
) -> None:
    for x in tiny_images.split(1):
        edit = counterfactual(explained, x, target)
        typical = explained.typical_odds[target].reshape(1, 1)
        logits = torch.cat([torch.zeros_like(typical), typical], 1)
        assert edit.target_logit == pytest.approx(explained.log_odds(logits).item(), abs=1e-9)
        assert edit.target == explained.classes[target] and edit.method == "direction"


def test_the_way_is_the_shortest_and_leaves_the_rest_of_the_features(
    explained, tiny_images
) -> None:
    with torch.no_grad():
        z = explained.features(tiny_images)
        moved = towards(explained, z, torch.tensor(3.0).double())
    coarse = explained.means.shape[1]
    change = (moved - z)[:, :coarse].flatten(1)
    assert torch.equal(moved[:, coarse:], z[:, coarse:])
    assert torch.allclose(uncalibrated(explained, moved), torch.tensor(3.0).double(), atol=1e-9)
    direction = (explained.means[1] - explained.means[0]).flatten()
    cosine = (change @ direction).abs() / change.norm(dim=1) / direction.norm()
    assert torch.allclose(cosine, torch.ones_like(cosine))


@pytest.mark.parametrize("target", [0, 1])
def test_the_re_checks_are_those_of_the_stored_image(explained, tiny_images, target) -> None:
    x = tiny_images[:1]
    with torch.no_grad():
        z = explained.features(x)
        end = towards(explained, z, 60.0 * explained.typical_odds[target])
        decoded = explained.invert(end)
        stored = decoded.clamp(0, 255).round()
        again = explained.read(stored)
        odds = explained.log_odds(again.logits).item()
        wanted = explained.log_odds(explained.logits_of(end)).item()
    edit = from_features(explained, x, target, (z, end), "direction")
    difference = (stored - x)[0, 0]
    outside = ((decoded < -0.5) | (decoded > 255.5)).double().mean().item()
    assert (edit.image == stored[0, 0].numpy()).all() and outside > 0.02
    assert edit.logit == odds != wanted and edit.target_logit == pytest.approx(wanted)
    assert (edit.difference == difference.numpy()).all() and edit.out_of_range == outside
    assert edit.rms == pytest.approx(difference.square().mean().sqrt().item())
    assert edit.changed == (difference.abs() > CHANGED).double().mean().item()
    for step, frame in enumerate(edit.strip):
        with torch.no_grad():
            between = explained.invert(z + step / 4 * (end - z)).clamp(0, 255).round()
        assert (frame == between[0, 0].numpy()).all()
    for boundary in (odds - 0.1, odds + 0.1):
        explained.decision_logit.fill_(boundary)
        again_judged = from_features(explained, x, target, (z, end), "direction")
        assert again_judged.flipped == ((odds >= boundary) == bool(target))
    for threshold in (again.scope.item() * 1.1, again.scope.item() * 0.9):
        explained.scope_threshold.fill_(threshold)
        again_judged = from_features(explained, x, target, (z, end), "direction")
        assert again_judged.in_scope == (again.scope.item() <= threshold)


def test_what_differs_by_two_grey_levels_is_not_seen_as_changed(explained, tiny_images) -> None:
    x = tiny_images[:1].clamp(10, 240).round()
    edited = x.clone()
    edited[0, 0, 0, :4] += torch.tensor([2.0, 3.0, -2.0, -3.0]).double()
    edit = from_image(explained, x, 1, edited, "inpainting")
    assert edit.changed == 2 / x.numel() and edit.method == "inpainting"
    assert edit.rms == pytest.approx((26 / x.numel()) ** 0.5)
    assert [int((frame != x[0, 0].numpy()).sum()) for frame in edit.strip][-1] == 4
    assert (edit.strip[2][0, :4] == (x + (edited - x) / 2).round()[0, 0, 0, :4].numpy()).all()


def test_an_image_edited_as_an_image_is_encoded_and_decoded(explained, tiny_images) -> None:
    x = tiny_images[:1]
    edited = x + 200.4
    edit = from_image(explained, x, 1, edited, "brightening")
    with torch.no_grad():
        aimed = explained.log_odds(explained.logits(edited)).item()
    assert edit.target_logit == pytest.approx(aimed, abs=1e-9)
    assert (edit.image == edited.clamp(0, 255).round()[0, 0].numpy()).all()
    assert edit.out_of_range == pytest.approx((edited > 255.5).double().mean().item())
