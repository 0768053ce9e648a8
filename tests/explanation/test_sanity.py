"""Controls are as large as what they stand beside; networks that know nothing are told apart."""

import numpy as np
import pytest
import torch

from medinv.explanation.evidence import evidence
from medinv.explanation.sanity import (
    equal_changes,
    likeness,
    mean_cosine,
    sham_head,
    untrained,
)


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
            lambda image: float(image.mean()),
            lambda logit: logit > x.mean() + 1,
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
    assert found["class-mean difference"].flipped and found["class-mean difference"].cosine > abs(
        found["noise"].cosine
    )


def test_a_blur_cannot_be_larger_than_a_plain_image() -> None:
    x = np.full((16, 16), 100, np.uint8)
    x[0, 0] = 101
    found = {
        c.name: c
        for c in equal_changes(
            x, np.full((16, 16), 200, np.uint8), lambda image: 0.0, lambda logit: False
        )
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
