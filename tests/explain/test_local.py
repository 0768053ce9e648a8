"""Local evidence is an exact sum, wherever it is taken, and points at what was put there."""

import pytest
import torch

from medinv.errors import ConfigError
from medinv.explain.evidence import evidence
from medinv.explain.local import checked, local_evidence, local_terms, usual_states
from medinv.explain.walk import steps


def test_places_and_bias_add_up_to_the_logit_for_images_and_volumes(plain) -> None:
    model, x = plain
    names = tuple(step.name for step in steps(model.trunk))[1:3]
    usual = usual_states(model, [x.flip(-1), x * 0.5], names)
    found = local_evidence(model, x, usual)
    assert found.locations.shape == tuple(x.shape[2:]) and found.residual < 1e-10
    assert found.locations.sum() + found.bias == pytest.approx(found.logit, abs=1e-10) and found.logit == evidence(model, x).logit


def test_places_of_coarse_depths_still_add_up(tiny_model, tiny_images) -> None:
    names = tuple(step.name for step in steps(tiny_model.trunk) if "Coupling" in step.name)
    usual = usual_states(tiny_model, tiny_images.split(3), names)
    maps, bias, logit = local_terms(tiny_model, tiny_images, usual)
    assert torch.allclose(maps.sum((1, 2)) + bias, logit, rtol=0, atol=1e-10) and maps.shape == tiny_images[:, 0].shape
    alone = local_evidence(tiny_model, tiny_images[:1], usual)
    assert torch.allclose(torch.from_numpy(alone.locations), maps[0], rtol=0, atol=1e-10), "an image's map does not depend on its batch"


def test_an_image_that_is_the_usual_one_has_no_evidence(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    usual = usual_states(tiny_model, [x], (steps(tiny_model.trunk)[4].name,))
    found = local_evidence(tiny_model, x, usual)
    assert abs(found.locations).max() < 1e-12 and found.bias == pytest.approx(found.logit, abs=1e-10)


def test_a_change_of_one_corner_shows_there(plain) -> None:
    model, x = plain
    usual = usual_states(model, [x], (steps(model.trunk)[0].name,))
    changed = x.clone()
    changed[(0, 0, *[slice(0, 2)] * (x.ndim - 2))] += 60
    found = abs(local_evidence(model, changed, usual).locations)
    corner = found[tuple([slice(0, 2)] * (x.ndim - 2))].sum()
    assert corner == pytest.approx(found.sum(), rel=1e-9) and corner > 0


def test_a_depth_that_is_not_there_is_refused(plain) -> None:
    model, x = plain
    for usual in ({"level 9, layer 9: None": x[0]}, {}):
        with pytest.raises(ConfigError, match="depths of this trunk"):
            local_evidence(model, x, usual)


def test_a_place_is_claimed_only_where_changing_it_changes_the_answer(plain) -> None:
    model, x = plain
    usual = usual_states(model, [x], (steps(model.trunk)[0].name,))
    slope = evidence(model, x).contributions / (x[0, 0].numpy() - 120 + 1e-9)
    corner = (0, 0, *[slice(0, 2)] * (x.ndim - 2))
    sick = x.clone()
    sick[corner] += 4000 * torch.from_numpy(slope)[corner[2:]].sign()  # unlike x there alone, and the log-odds rise
    found = checked(model, sick, local_evidence(model, sick, usual), x[0])
    assert found.logit > model.decision_logit and found.valid and found.check.fall > 0 and len(found.check.elsewhere) == 15
    same = checked(model, x, local_evidence(model, x, usual), x[0])
    assert not same.valid and same.check.fall == pytest.approx(0, abs=1e-9), "an image that is the usual one claims no place"
