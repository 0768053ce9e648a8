"""Evidence against the same image with its region as in negative images: still an exact sum, and it
lies where the image is other than there."""

from dataclasses import replace

import pytest
import torch

from medinv.explanation.explain import local_evidence_of
from medinv.explanation.ground import grounds_of, region_of
from medinv.explanation.local import cycle_spun_terms, local_evidence, local_terms
from medinv.explanation.trunk import decision, log_odds
from medinv.models.depths import mean_states, steps
from medinv.models.store import load


@pytest.fixture
def two(tiny_model, tiny_images) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, and the same darker in a square that touches no border."""
    expected = tiny_images.clone()
    side = expected.shape[-1] // 4
    expected[..., side : 2 * side, side : 2 * side] *= 0.5
    return tiny_images, expected


def states_of(model, images) -> dict[str, torch.Tensor]:
    names = tuple(step.name for step in steps(model.trunk) if "Coupling" in step.name)
    return mean_states(model.trunk, [images], names)


def test_the_sum_is_exact_alone_and_in_a_batch(tiny_model, two) -> None:
    x, expected = two
    grounds = torch.stack([expected, expected.flip(-1), expected / 2])
    together = cycle_spun_terms(tiny_model, x, states_of(tiny_model, x), 3.0, grounds)
    assert together.residual.max() < 1e-10
    one = local_evidence(tiny_model, x[:1], states_of(tiny_model, x), 3.0, None, grounds[:, :1])
    assert one.grounds == 3 and one.residual < 1e-10
    assert torch.allclose(torch.from_numpy(one.locations), together.maps[0], rtol=0, atol=1e-10)


def test_places_share_out_what_the_network_answers_otherwise(tiny_model, two) -> None:
    """Asked by itself of both images; and of the mean state where there is no other image."""
    x, other = two
    states = states_of(tiny_model, x)
    maps, bias, logit = local_terms(tiny_model, x, states, other)
    with torch.no_grad():
        odds, ground = (log_odds(tiny_model, images) for images in (x, other))
    assert torch.allclose(maps.sum((1, 2)), odds - ground, rtol=0, atol=1e-9)
    assert torch.allclose(bias, ground, rtol=0, atol=1e-9) and (odds - ground).abs().max() > 1e-2
    assert torch.allclose(logit, odds, rtol=0, atol=1e-9)
    last = steps(tiny_model.trunk)[-1].name
    mean = mean_states(tiny_model.trunk, [x.flip(-1)], (last,))
    assert local_terms(tiny_model, x, mean)[1] == pytest.approx(
        decision(tiny_model, mean[last][None].double()).expand(len(x)).tolist(), abs=1e-9
    )


def test_what_is_as_expected_carries_no_evidence(tiny_model, two) -> None:
    x, expected = two
    same, bias, logit = local_terms(tiny_model, x, states_of(tiny_model, x), x)
    assert same.abs().max() < 1e-12 and torch.allclose(bias, logit, rtol=0, atol=1e-10)
    maps = local_terms(tiny_model, x, states_of(tiny_model, x), expected)[0].abs()
    side = x.shape[-1] // 4
    near = torch.zeros_like(maps, dtype=torch.bool)
    near[:, side - 2 : 2 * side + 2, side - 2 : 2 * side + 2] = True
    assert (maps * near).sum() > 0.9 * maps.sum() > 0


def test_each_ground_is_told_against_in_turn(tiny_model, two) -> None:
    x, expected = two
    states = states_of(tiny_model, x)
    once = cycle_spun_terms(tiny_model, x, states, 0.0, expected[None])
    same = cycle_spun_terms(tiny_model, x, states, 0.0, expected.expand(4, *x.shape))
    assert torch.equal(once.maps, same.maps)
    half = cycle_spun_terms(tiny_model, x, states, 0.0, torch.stack([expected, x]))
    assert half.maps.abs().sum() < 0.8 * once.maps.abs().sum()


@pytest.fixture(scope="module")
def film_of_disease():
    """The shipped model, a kept film of disease, and whether each pixel is in its lungs."""
    model = load("chest-xray")
    film = model.reference.donors.films[model.reference.donors.labels == 1][:1].double()
    return model, film, region_of(model, film)


def test_a_film_is_told_against_itself_with_the_lungs_of_similar_children(film_of_disease) -> None:
    model, film, inside = film_of_disease
    grounds = grounds_of(model, film)
    assert len(grounds) == 8
    changed = (grounds - film).abs()[:, 0, 0].numpy()
    assert changed[:, inside].mean() > 5 and changed[:, :4].max() < 1e-9, "the border stays"
    local = local_evidence(model, film, model.reference.states, 0.0, inside, grounds)
    assert local.grounds == 8 and local.residual < 1e-8
    assert abs(local.outside) < 0.3 * abs(local.locations).sum()
    named = local_evidence_of(model, film)
    assert (
        named.ground == "normal"
        and named.grounds == 8
        and min(abs(fall) for fall in named.check.elsewhere) < 0.02 * named.check.fall
    ), "where the lungs are not, the check puts in what is there"


def test_a_film_that_is_called_normal_is_told_against_lungs_of_ill_children(
    film_of_disease,
) -> None:
    model, _, _ = film_of_disease
    kept = model.reference.donors
    films = kept.films[kept.labels == 0].double()
    normal = films[model.called(model.logits(films)) == 0][:1]
    local = local_evidence_of(model, normal)
    assert local.ground == "pneumonia"
    assert local.locations.sum() < -1, "healthier than they are: it speaks for normal"
    assert local.residual < 1e-8


def test_where_no_images_are_kept_it_is_what_would_be_expected_there(film_of_disease) -> None:
    model, film, inside = film_of_disease
    kept = model.reference
    model.reference = replace(kept, donors=None)
    try:
        (expected,) = grounds_of(model, film)
        model.reference = replace(kept, donors=None, expectation=None)
        assert grounds_of(model, film) is None
    finally:
        model.reference = kept
    changed = (expected - film).abs()[0, 0].numpy()
    assert changed[inside].mean() > 2 and changed[:4].max() < 0.5, "the border stays as it is"


def test_a_model_without_a_region_has_none(tiny_model, tiny_images, explained) -> None:
    assert grounds_of(explained, tiny_images) is None
