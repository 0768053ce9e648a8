"""Evidence is exact: an affine map of the image, frozen at it, against autograd and arithmetic."""

import inspect

import pytest
import torch

import medinv.layers
from medinv.errors import ConfigError
from medinv.explanation.affine import freeze
from medinv.explanation.counterfactual.direction import counterfactual
from medinv.explanation.evidence import evidence
from medinv.layers import Invertible


def test_contributions_and_bias_add_up_to_the_logit(tiny_model, tiny_images) -> None:
    for x in tiny_images.split(1):
        found = evidence(tiny_model, x)
        logit = tiny_model.log_odds(tiny_model.logits(x)).item()
        assert found.logit == logit and found.residual < 1e-10
        assert found.contributions.sum() + found.bias == pytest.approx(logit, abs=1e-10)


def test_the_residual_is_that_of_the_network_not_of_the_sum_with_itself(
    tiny_model, tiny_images, monkeypatch
) -> None:
    honest, x = tiny_model.features, tiny_images[:1]
    before = evidence(tiny_model, x)
    monkeypatch.setattr(tiny_model, "features", lambda u: 1.01 * honest(u))
    after = evidence(tiny_model, x)
    logit = tiny_model.log_odds(tiny_model.logits(x)).item()
    assert after.logit == logit != before.logit
    assert after.residual == pytest.approx(abs(logit - before.logit), rel=1e-6)


def test_the_frozen_network_is_affine_and_equals_the_network_at_its_image(
    tiny_model, tiny_images
) -> None:
    x, u, v = tiny_images[:1], tiny_images[1:2], tiny_images[2:3]
    with torch.no_grad():
        frozen = freeze(tiny_model.trunk, x)
        assert torch.allclose(frozen(x), tiny_model.trunk(x), rtol=0, atol=1e-11)
        assert torch.allclose(
            frozen(0.3 * u + 0.7 * v), 0.3 * frozen(u) + 0.7 * frozen(v), rtol=0, atol=1e-10
        )
        assert not torch.allclose(frozen(u), tiny_model.trunk(u), rtol=0, atol=1e-3), (
            "the network itself must not be affine"
        )


def test_contributions_are_slope_times_distance_from_the_mean_grey(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    with torch.no_grad():
        frozen = freeze(tiny_model.trunk, x)
        base = tiny_model.log_odds(tiny_model.logits_of(frozen(x)))
        moved = x.clone()
        moved[0, 0, 3, 5] += 10
        slope = (tiny_model.log_odds(tiny_model.logits_of(frozen(moved))) - base).item() / 10
    mean = tiny_model.trunk.layers[0].mean.item()
    assert evidence(tiny_model, x).contributions[3, 5] == pytest.approx(
        slope * (x[0, 0, 3, 5].item() - mean), abs=1e-9
    )


def test_every_layer_of_a_trunk_can_be_frozen_or_says_that_it_cannot() -> None:
    class Foreign(torch.nn.Module):
        pass

    with pytest.raises(ConfigError, match="Foreign"):
        freeze(Foreign(), torch.zeros(1))
    assert inspect.isabstract(Invertible) and medinv.layers.Chain in freeze.registry


@pytest.mark.parametrize("target", [0, 1])
def test_a_counterfactual_reaches_the_class_it_aims_at(tiny_model, tiny_images, target) -> None:
    x = tiny_images[:1]
    found = counterfactual(tiny_model, x, target)
    again = torch.from_numpy(found.image)[None, None].double()
    logit = tiny_model.log_odds(tiny_model.logits(again)).item()
    assert found.logit == logit, "the re-check must be that of the stored image"
    assert found.flipped == ((logit >= tiny_model.decision_logit.item()) == bool(target))
    with torch.no_grad():
        assert found.in_scope == (
            tiny_model.read(again).scope.item() <= tiny_model.scope_threshold.item()
        )
    assert found.target == tiny_model.classes[target]
    assert (found.image == x[0, 0].numpy() + found.difference).all() and found.rms == pytest.approx(
        (found.difference**2).mean() ** 0.5
    )
    assert (found.strip[0] == x[0, 0].numpy()).all() and (found.strip[-1] == found.image).all()


def test_an_unclipped_counterfactual_reaches_its_logit_exactly(tiny_model, tiny_images) -> None:
    x = 0.2 * tiny_images[:1].round() + 100
    x = x.round()
    direction = tiny_model.means[1] - tiny_model.means[0]
    with torch.no_grad():
        z = tiny_model.features(x)
        z[:, : direction.shape[0]] += 0.5 * direction
        before, after = tiny_model.logits(x)[0], tiny_model.logits(tiny_model.invert(z))[0]
        gained = (after[1] - after[0]) - (before[1] - before[0])
    assert gained.item() == pytest.approx(0.5 * direction.square().sum().item(), rel=1e-9)
