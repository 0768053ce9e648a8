"""Evidence against the same image with its region as expected: still an exact sum, and it lies
where the image is other than expected."""

import pytest
import torch

from medinv.explanation.explain import _local_evidence
from medinv.explanation.ground import expected_of, region_of
from medinv.explanation.local import cycle_spun_terms, local_evidence, local_terms
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
    together = cycle_spun_terms(tiny_model, x, states_of(tiny_model, x), 3.0, expected)
    assert together.residual.max() < 1e-10
    one = local_evidence(tiny_model, x[:1], states_of(tiny_model, x), 3.0, None, expected[:1])
    assert one.expected and one.residual < 1e-10
    assert torch.allclose(torch.from_numpy(one.locations), together.maps[0], rtol=0, atol=1e-10)


def test_what_is_as_expected_carries_no_evidence(tiny_model, two) -> None:
    x, expected = two
    same, bias, logit = local_terms(tiny_model, x, states_of(tiny_model, x), x)
    assert same.abs().max() < 1e-12 and torch.allclose(bias, logit, rtol=0, atol=1e-10)
    maps = local_terms(tiny_model, x, states_of(tiny_model, x), expected)[0].abs()
    side = x.shape[-1] // 4
    near = torch.zeros_like(maps, dtype=torch.bool)
    near[:, side - 2 : 2 * side + 2, side - 2 : 2 * side + 2] = True
    assert (maps * near).sum() > 0.9 * maps.sum() > 0


def test_a_film_is_told_against_itself_with_the_lungs_that_would_be_expected() -> None:
    model = load("chest-xray")
    film = model.reference.donors.films[model.reference.donors.labels == 1][:1].double()
    expected, inside = expected_of(model, film), region_of(model, film)
    changed = (expected - film).abs()[0, 0].numpy()
    assert changed[inside].mean() > 2 and changed[:4].max() < 0.5, "the border stays as it is"
    local = local_evidence(model, film, model.reference.states, 0.0, inside, expected)
    assert local.expected and local.residual < 1e-4
    assert abs(local.outside) < 0.3 * abs(local.locations).sum()
    named = _local_evidence(model, film)
    assert named.expected and min(abs(fall) for fall in named.check.elsewhere) < 0.02, (
        "the check puts in what is expected: where the film is as expected, nothing changes"
    )


def test_a_model_without_a_region_has_none(tiny_model, tiny_images, explained) -> None:
    assert expected_of(explained, tiny_images) is None
