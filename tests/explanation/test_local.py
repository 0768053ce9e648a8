"""Local evidence is an exact sum, wherever it is taken, and points at what was put there."""

import pytest
import torch

from medinv.errors import ConfigError
from medinv.explanation.cycle_spinning import copies, moved, moved_back
from medinv.explanation.evidence import evidence
from medinv.explanation.local import (
    checked,
    cycle_spun_terms,
    local_evidence,
    local_terms,
)
from medinv.explanation.result import LocalEvidence
from medinv.models.depths import mean_states, steps


def test_places_and_what_none_carries_add_up_to_the_logit_for_images_and_volumes(plain) -> None:
    model, x = plain
    names = tuple(step.name for step in steps(model.trunk))[1:3]
    states = mean_states(model.trunk, [x.flip(-1), x * 0.5], names)
    found = local_evidence(model, x, states, 3.0)
    assert found.locations.shape == tuple(x.shape[2:]) and found.residual < 1e-10
    assert (
        found.locations.sum() + found.constant == pytest.approx(found.logit, abs=1e-10)
        and found.logit == evidence(model, x).logit
    )
    with torch.no_grad():  # by the network as it is
        odds = torch.stack(
            [model.log_odds(model.logits_of(model.features(copy)))[0] for _, copy in copies(x, 3.0)]
        )
    assert (
        len(odds) == 16
        and found.jitter == pytest.approx(found.logit - odds.mean().item(), abs=1e-10)
        and odds.std() > 1e-3
    )
    assert found.locations.sum() + found.bias == pytest.approx(odds.mean().item(), abs=1e-10)


def test_the_residual_is_that_of_the_network_not_of_the_sum_with_itself(
    tiny_model, tiny_images, monkeypatch
) -> None:
    states = mean_states(tiny_model.trunk, tiny_images.split(3), (steps(tiny_model.trunk)[4].name,))
    honest = tiny_model.features
    assert local_evidence(tiny_model, tiny_images[:1], states).residual < 1e-10
    monkeypatch.setattr(tiny_model, "features", lambda x: 1.01 * honest(x))
    assert local_evidence(tiny_model, tiny_images[:1], states).residual > 1e-7


def test_places_of_coarse_depths_still_add_up(tiny_model, tiny_images) -> None:
    names = tuple(step.name for step in steps(tiny_model.trunk) if "Coupling" in step.name)
    states = mean_states(tiny_model.trunk, tiny_images.split(3), names)
    maps, bias, logit = local_terms(tiny_model, tiny_images, states)
    assert (
        torch.allclose(maps.sum((1, 2)) + bias, logit, rtol=0, atol=1e-10)
        and maps.shape == tiny_images[:, 0].shape
    )
    together, alone = (
        cycle_spun_terms(tiny_model, tiny_images, states),
        local_evidence(tiny_model, tiny_images[:1], states),
    )
    assert torch.allclose(
        torch.from_numpy(alone.locations), together.maps[0], rtol=0, atol=1e-10
    ), "an image's map does not depend on its batch"
    assert together.residual.max() < 1e-10


def test_a_map_moves_with_the_image_steadier_than_that_of_one_copy(tiny_model, tiny_images) -> None:
    names = tuple(step.name for step in steps(tiny_model.trunk) if "Coupling" in step.name)[-2:]
    states = {
        name: state.mean((-2, -1), keepdim=True).expand_as(state)
        for name, state in mean_states(tiny_model.trunk, tiny_images.split(3), names).items()
    }

    def gap(maps_of) -> float:
        """Size of the change of a map when its image moves by a pixel, beside that of the map."""
        first, second = maps_of(tiny_images), maps_of(moved(tiny_images, (1, 1)))
        return (
            (second[:, 4:-4, 4:-4] - first[:, 3:-5, 3:-5]).norm() / first[:, 3:-5, 3:-5].norm()
        ).item()

    assert gap(lambda x: cycle_spun_terms(tiny_model, x, states).maps) < 0.7 * gap(
        lambda x: local_terms(tiny_model, x, states)[0]
    )


def test_the_map_of_every_copy_is_moved_back_before_the_mean(tiny_model, tiny_images) -> None:
    x = tiny_images[:2]
    states = mean_states(tiny_model.trunk, tiny_images.split(3), (steps(tiny_model.trunk)[4].name,))
    back = [moved_back(local_terms(tiny_model, y, states)[0], move) for move, y in copies(x, 4.0)]
    found = cycle_spun_terms(tiny_model, x, states, 4.0).maps
    assert torch.allclose(found, torch.stack(back).mean(0), rtol=0, atol=1e-10)


def test_an_image_that_is_the_usual_one_has_no_evidence(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    states = mean_states(tiny_model.trunk, [x], (steps(tiny_model.trunk)[4].name,))
    maps, bias, logit = local_terms(tiny_model, x, states)
    assert maps.abs().max() < 1e-12 and bias.item() == pytest.approx(logit.item(), abs=1e-10)


def test_a_change_of_one_corner_shows_there(plain) -> None:
    model, x = plain
    states = mean_states(model.trunk, [x], (steps(model.trunk)[0].name,))
    changed = x.clone()
    changed[(0, 0, *[slice(0, 2)] * (x.ndim - 2))] += 60
    found = local_terms(model, changed, states)[0][0].abs()
    corner = found[tuple([slice(0, 2)] * (x.ndim - 2))].sum().item()
    assert corner == pytest.approx(found.sum().item(), rel=1e-9) and corner > 0


def test_a_depth_that_is_not_there_is_refused(plain) -> None:
    model, x = plain
    for states in ({"level 9, layer 9: None": x[0]}, {}):
        with pytest.raises(ConfigError, match="depths of this trunk"):
            local_evidence(model, x, states)


def test_a_place_is_claimed_only_where_changing_it_changes_the_answer(plain) -> None:
    model, x = plain
    states = mean_states(model.trunk, [x], (steps(model.trunk)[0].name,))
    slope = evidence(model, x).contributions / (x[0, 0].numpy() - 120 + 1e-9)
    corner = (0, 0, *[slice(0, 2)] * (x.ndim - 2))
    sick = x.clone()
    sick[corner] += (
        4000 * torch.from_numpy(slope)[corner[2:]].sign()
    )  # unlike x there alone, and the log-odds rise
    found = checked(model, sick, _of_one_copy(model, sick, states), x[0])
    assert (
        found.logit > model.decision_logit
        and found.valid
        and found.check.fall > 0
        and len(found.check.elsewhere) == 15
    )
    same = checked(model, x, _of_one_copy(model, x, states), x[0])
    assert not same.valid and same.check.fall == pytest.approx(0, abs=1e-9), (
        "an image that is the usual one claims no place"
    )


def _of_one_copy(model, x: torch.Tensor, states: dict[str, torch.Tensor]) -> LocalEvidence:
    """This model answers otherwise wherever the same corner lies."""
    maps, bias, logit = local_terms(model, x, states)
    return LocalEvidence(maps[0].numpy(), tuple(states), 1, bias.item(), 0.0, logit.item(), 0.0)
