"""Distances, worst changes and turns against closed forms, the dense Jacobian and the model."""

import numpy as np
import pytest
import torch

from medinv.explanation.robustness import (
    FLIPS,
    QUARTER_TURNS,
    _deepfool,
    distance_in_features,
    distance_in_image,
    orientations,
    robustness,
    worst_case,
)


def test_deepfool_is_the_closed_form_where_the_network_is_affine(affine) -> None:
    model, x = affine
    found = distance_in_image(model, x)
    u = x.clone().requires_grad_()
    value = model.log_odds(model.logits_of(model.features(u))) - model.decision_logit
    (slope,) = torch.autograd.grad(value.sum(), u)
    exact = value.abs().item() / slope.norm().item() / x.numel() ** 0.5
    assert found.steps == 1 and found.flipped
    assert found.affine_rms == pytest.approx(exact, rel=1e-4) and found.rms == pytest.approx(
        exact, rel=2e-3
    )


def test_deepfool_crosses_the_boundary_and_not_by_much(plain) -> None:
    model, x = plain
    found = distance_in_image(model, x)
    assert found.flipped and found.residual < 0.05 and found.rms >= 0.5 * found.affine_rms
    short = x + 0.9 * (torch.from_numpy(found.image)[None, None] - x)
    with torch.no_grad():
        side = [
            (model.log_odds(model.logits_of(model.features(u))) >= model.decision_logit).item()
            for u in (x, short)
        ]
    assert side[0] == side[1], "nine tenths of the way it is still called as before"


def test_the_affine_answer_is_that_of_the_first_step_of_several() -> None:
    start = torch.tensor([[3.0]], dtype=torch.float64)
    crossed, affine, taken = _deepfool(lambda u: u.square().sum(1) - 2, start, 50)
    assert taken > 1 and affine == pytest.approx(7 / 6, rel=1e-5)
    assert crossed.item() < 2**0.5 and crossed.item() == pytest.approx(2**0.5, rel=1e-3)


def test_in_the_features_one_step_is_exact(plain) -> None:
    model, x = plain
    found = distance_in_features(model, x)
    assert (
        found.flipped
        and found.steps == 1
        and found.rms == pytest.approx(found.affine_rms, rel=2e-3)
    )


def test_the_worst_change_is_the_largest_singular_vector_of_the_inverse(plain) -> None:
    model, x = plain
    z = model.features(x).detach()
    jacobian = torch.autograd.functional.jacobian(lambda u: model.invert(u).flatten(), z).reshape(
        x.numel(), x.numel()
    )
    values = torch.linalg.svdvals(jacobian)
    found = worst_case(model, x, size=1e-3, iterations=100)
    assert (
        found.amplification == pytest.approx(values[0].item(), rel=1e-2)
        and values[-1] < found.typical < values[0]
    )
    assert (
        found.image_rms == pytest.approx(found.predicted_rms, rel=1e-2)
        and found.rounding_error < 1e-9
    )


def test_turns_are_the_model_on_the_turned_image(plain) -> None:
    model, x = plain
    by_name = {turn.name: turn for turn in orientations(model, x)}
    with torch.no_grad():
        flipped = model.log_odds(model.logits_of(model.features(x.flip(-1)))).item()
    assert (
        by_name["left-right flip"].logit == pytest.approx(flipped, abs=1e-10) and len(by_name) == 5
    )


@pytest.mark.parametrize("turn", FLIPS + QUARTER_TURNS, ids=lambda turn: turn[0])
def test_every_turn_is_undone_by_its_undoing(turn) -> None:
    x = torch.arange(32).reshape(1, 2, 4, 4)
    assert (turn[2](turn[1](x)) == x).all() and not (turn[1](x) == x).all()


def test_a_symmetric_image_and_model_turn_alike(affine) -> None:
    model, x = affine
    for layer in model.trunk.layers[1:]:
        layer.weight.data.copy_((layer.weight + layer.weight.flip(-1)) / 2)
    model.means.data.copy_((model.means + model.means.flip(-1)) / 2)
    turn = next(turn for turn in orientations(model, x) if turn.name == "left-right flip")
    assert turn.called_alike and turn.evidence_correlation == pytest.approx(1)


def test_all_together_on_the_tiny_classifier(tiny_model, tiny_images) -> None:
    found = robustness(tiny_model, tiny_images[:1])
    assert {distance.where for distance in found.distances} == {"image", "features"} and all(
        distance.flipped for distance in found.distances
    )
    assert np.isfinite(found.worst_case.image).all() and len(found.orientations) == 5
