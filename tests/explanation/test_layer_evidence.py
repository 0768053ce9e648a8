"""Evidence at every depth adds up to the same logit, for images and volumes."""

import numpy as np
import pytest
import torch

from medinv.explanation.evidence import evidence, head_view, layer_evidence, likelihood_ratio
from medinv.models.depths import steps


def test_every_depth_adds_up_to_the_logit(plain) -> None:
    model, x = plain
    whole = evidence(model, x)
    found = layer_evidence(model, x)
    assert len(found) == 1 + len(steps(model.trunk)) and np.allclose(
        found[0].locations, whole.contributions, rtol=0, atol=1e-12
    )
    for part in found:
        assert part.bias == whole.bias and part.residual < 1e-10
        assert part.channels.sum() + part.bias == pytest.approx(whole.logit, abs=1e-10)
        assert part.locations.sum() + part.bias == pytest.approx(whole.logit, abs=1e-10)


def test_levels_that_send_channels_out_still_add_up(tiny_model, tiny_images) -> None:
    for part in layer_evidence(tiny_model, tiny_images[:1]):
        assert part.residual < 1e-10 and part.channels.sum() == pytest.approx(
            part.locations.sum(), abs=1e-10
        )


def test_a_part_of_the_features_carries_what_it_would_take_away(plain) -> None:
    model, x = plain
    with torch.no_grad():
        z = model.features(x)
    last = layer_evidence(model, x)[-1]
    place = (2,) * len(last.locations.shape)
    slope = 0.9 * (model.means[1] - model.means[0])[0]
    assert last.locations[place] == pytest.approx(
        (slope[place] * z[0, 0][place]).item(), abs=1e-9
    ), "the mean grey is zero behind the first layer"


def test_the_likelihood_ratio_needs_no_reference(tiny_model, tiny_images) -> None:
    for x in tiny_images[:3].split(1):
        found = likelihood_ratio(tiny_model, x)
        assert found.residual < 1e-10
        assert found.locations.sum() + found.bias == pytest.approx(
            evidence(tiny_model, x).logit, abs=1e-10
        )
        assert found.locations.shape == tuple(tiny_model.means.shape[2:])


def test_without_what_the_head_looks_at_only_the_bias_is_left(plain) -> None:
    model, x = plain
    found = head_view(model, x)
    bias = model.log_odds(model.logits_of(torch.zeros_like(x))).item()
    assert found.logit_without == pytest.approx(bias, abs=1e-9) and found.residual < 1e-9
    assert np.allclose(found.without + found.seen, x[0, 0].numpy()) and 0 < found.energy_share < 1
    again = head_view(model, torch.from_numpy(found.without)[None, None])
    assert np.abs(again.seen).max() < 1e-8, "nothing is left to be seen"
