"""On which pixels an answer hangs, and of which images it is asked."""

import pytest
import torch

from medinv.explanation.cycle_spinning import MOVES, moved, moved_back
from medinv.explanation.explain import local_evidence_of
from medinv.explanation.sensitivity import of_foreign, sensitivity
from medinv.explanation.trunk import log_odds
from medinv.models.store import load


def test_it_is_how_far_the_answer_moves_with_each_pixel(tiny_model, tiny_images) -> None:
    """By finite differences, of every copy, moved back."""
    x, step = tiny_images[:1], 1e-4
    expected = torch.zeros_like(x[0, 0])
    for move in MOVES:
        copy = moved(x, move)
        nudges = step * torch.eye(copy[0].numel(), dtype=x.dtype).view(-1, *copy.shape[1:])
        with torch.no_grad():
            slopes = (log_odds(tiny_model, copy + nudges) - log_odds(tiny_model, copy - nudges)) / (
                2 * step
            )
        moves = slopes.abs().view(copy.shape[1:]).sum(0)
        expected += moved_back(moves, move) / len(MOVES)
    found = sensitivity(tiny_model, x, 0.0)
    assert found.shape == (1, *x.shape[2:]) and expected.max() > 0
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-5 * expected.max().item())


def test_images_do_not_change_each_other_and_noise_is_the_same_at_every_call(
    tiny_model, tiny_images
) -> None:
    together = sensitivity(tiny_model, tiny_images, 0.01)
    assert torch.allclose(together[1:2], sensitivity(tiny_model, tiny_images[1:2], 0.01))
    assert not torch.allclose(together, sensitivity(tiny_model, tiny_images, 0.0))


def test_only_a_film_out_of_scope_is_told_by_it_and_its_sum_stays() -> None:
    """The kept film of disease as it is, and in frames that no film of a child has."""
    model = load("chest-xray", dtype=torch.float32)
    film = model.reference.donors.films[model.reference.donors.labels == 1][:1].float()
    assert of_foreign(model, film) is None
    plain = local_evidence_of(model, film)
    assert plain.sensitivity is None
    foreign = film.clone()
    foreign[..., ::8] = 255.0
    assert not model.in_scope(model.read(foreign))
    local = local_evidence_of(model, foreign)
    assert local.sensitivity.shape == film.shape[2:] and local.sensitivity.min() >= 0
    assert local.placed(1.0).sum() == pytest.approx(local.locations.clip(0).sum(), rel=1e-4)
    assert local.residual < 1e-3
