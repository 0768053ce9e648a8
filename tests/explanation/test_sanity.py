"""Controls are as large as what they stand beside; networks that know nothing are told apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from medinv.explanation.evidence import evidence
from medinv.explanation.explain import explain
from medinv.explanation.local import local_terms
from medinv.explanation.sanity import (
    controls,
    cosine,
    equal_changes,
    likeness,
    mean_cosine,
    sham_head,
    untrained,
)
from medinv.models.depths import mean_states


def test_changes_have_the_size_of_the_counterfactual() -> None:
    generator = np.random.default_rng(0)
    x = np.clip(generator.normal(120, 40, (16, 16)), 0, 255).round().astype(np.uint8)
    edited = x.copy()
    edited[4:8, 4:8] += 60
    wanted = np.sqrt(np.square(edited.astype(float) - x).mean())
    step = generator.normal(1, 0.5, (16, 16))
    found = {
        c.name: c
        for c in equal_changes(
            x,
            edited,
            lambda image: (float(image.mean()), bool(image.mean() > x.mean() + 1)),
            class_step=step,
        )
    }
    assert set(found) == {"noise", "blur", "class-mean difference"}
    for control in found.values():
        assert control.image.dtype == np.uint8 and control.rms == pytest.approx(wanted, rel=0.03), (
            control.name
        )
        assert control.logit == control.image.mean() and control.flipped == (
            control.logit > x.mean() + 1
        )
    assert found["blur"].image.mean() == pytest.approx(x.mean(), abs=0.2), "rounded, not cut off"
    assert found["class-mean difference"].flipped and found["class-mean difference"].cosine > abs(
        found["noise"].cosine
    )


def test_a_blur_cannot_be_larger_than_a_plain_image() -> None:
    x = np.full((16, 16), 100, np.uint8)
    x[0, 0] = 101
    found = {
        c.name: c
        for c in equal_changes(x, np.full((16, 16), 200, np.uint8), lambda image: (0.0, False))
    }
    assert found["blur"].rms < 1 and found["noise"].rms == pytest.approx(100, rel=0.03)


def test_a_template_has_cosine_one_and_unrelated_edits_none() -> None:
    template = np.random.default_rng(0).normal(size=(1, 8, 8))
    assert mean_cosine(np.repeat(template, 4, 0) * np.arange(1, 5)[:, None, None]) == pytest.approx(
        1
    )
    assert abs(mean_cosine(np.eye(4).reshape(4, 2, 2))) < 1e-12


def test_a_map_is_like_itself_whatever_its_scale() -> None:
    values = np.random.default_rng(0).normal(size=(8, 8))
    same = likeness("itself", "evidence", values, 3 * values)
    assert same.cosine == pytest.approx(1) and same.rank_correlation == pytest.approx(1)


def test_networks_that_know_nothing_explain_otherwise(explained, tiny_model, tiny_images) -> None:
    sham_model = sham_head(explained)
    own = evidence(explained, tiny_images[:1]).contributions
    for other in (untrained(explained, tiny_images), sham_model):
        found = likeness("it", "evidence", own, evidence(other, tiny_images[:1]).contributions)
        assert abs(found.cosine) < 0.95, found
    before = tiny_model.means[1] - tiny_model.means[0]
    sham = sham_model.means[1] - sham_model.means[0]
    assert sham.norm().item() == pytest.approx(before.norm().item()) and not torch.allclose(
        sham, before
    )


@pytest.fixture
def whole(explained, tiny_data):
    """An explanation with its controls, and the image (1, 1, 16, 16)."""
    image = tiny_data.test.images[0]
    return explain(explained, image, detail="report"), torch.from_numpy(image)[None].double()


def test_changes_are_judged_by_the_model_and_go_the_targets_way(explained, whole) -> None:
    explanation, x = whole
    edit = explanation.counterfactual
    target = explained.classes.index(edit.target)
    means = explained.reference.class_means
    step = (means[target] - means[1 - target])[0].numpy()
    by_name = {control.name: control for control in explanation.sanity.changes}
    assert set(by_name) == {"noise", "blur", "class-mean difference"}
    for control in by_name.values():
        change = control.image - x[0, 0].numpy()
        stored = torch.from_numpy(control.image)[None, None].double()
        with torch.no_grad():
            odds = explained.log_odds(explained.logits(stored)).item()
        assert control.logit == odds
        assert control.flipped == ((odds >= explained.decision_logit.item()) == bool(target))
        assert control.rms == pytest.approx(np.sqrt((change**2).mean()))
        assert control.cosine == pytest.approx(cosine(change, edit.difference))
    change = by_name["class-mean difference"].image - x[0, 0].numpy()
    assert cosine(change, step) > 0.5


@pytest.mark.parametrize("target", [0, 1])
def test_a_control_that_flips_too_is_said_to(explained, whole, target) -> None:
    explanation, x = whole
    edit = replace(explanation.counterfactual, target=explained.classes[target])
    logits = [control.logit for control in explanation.sanity.changes]
    explained.decision_logit.fill_(min(logits) - 1)
    found = controls(explained, x, replace(explanation, counterfactual=edit))
    expected = [control.logit >= min(logits) - 1 for control in found.changes]
    assert [control.flipped for control in found.changes] == [e == bool(target) for e in expected]


def test_maps_stand_beside_those_of_networks_that_know_nothing(explained, whole) -> None:
    explanation, x = whole
    reference, own = explained.reference, explanation.evidence.contributions
    shown = np.stack([x[0, 0].numpy(), *explanation.counterfactual.strip])
    fresh = untrained(explained, torch.from_numpy(shown)[:, None].double())
    sham = sham_head(explained)
    blank = mean_states(fresh.trunk, [reference.class_means[:1]], tuple(reference.states))
    mine = local_terms(explained, x, reference.states)[0][0].numpy()
    expected = {
        ("untrained weights", "local evidence"): (mine, local_terms(fresh, x, blank)[0][0].numpy()),
        ("a head of random direction", "local evidence"): (
            mine,
            local_terms(sham, x, reference.states)[0][0].numpy(),
        ),
        ("untrained weights", "evidence"): (own, evidence(fresh, x).contributions),
        ("a head of random direction", "evidence"): (own, evidence(sham, x).contributions),
    }
    found = {(one.name, one.of): one for one in explanation.sanity.likenesses}
    assert list(found) == list(expected), "what the report shows first comes first"
    for key, (first, second) in expected.items():
        assert found[key].cosine == pytest.approx(cosine(first, second)), key
        ranks = spearmanr(np.abs(first).ravel(), np.abs(second).ravel()).statistic
        assert found[key].rank_correlation == pytest.approx(ranks), key


def test_the_untrained_network_is_the_same_every_time_and_read_on_the_models_scale(
    explained, tiny_images
) -> None:
    torch.manual_seed(5)
    first = untrained(explained, tiny_images)
    torch.manual_seed(6)
    second = untrained(explained, tiny_images)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    other = untrained(explained, tiny_images, seed=2)
    assert not torch.equal(first.means, other.means)
    for name in ("temperature_inverse", "prior", "decision_logit", "typical_odds"):
        assert torch.equal(getattr(first, name), getattr(explained, name)), name
    assert explained.temperature_inverse != 1 and first.means.dtype == torch.float64
    with torch.no_grad():
        assert first.features(tiny_images).std() < 10, "its statistics are those of the images"


def test_a_sham_head_keeps_the_middle_and_the_trunk(explained, tiny_images) -> None:
    sham = sham_head(explained)
    assert torch.allclose(sham.means.mean(0), explained.means.mean(0), atol=1e-9)
    with torch.no_grad():
        assert torch.equal(sham.features(tiny_images), explained.features(tiny_images))
