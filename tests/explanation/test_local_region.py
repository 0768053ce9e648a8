"""Evidence is shown in the region that the label is about, and what lies outside is summed."""

from dataclasses import replace

import numpy as np
import pytest

from medinv.explanation.local import checked, local_evidence
from medinv.report import strings


@pytest.fixture
def subject(explained, tiny_images):
    """The tiny model, an image and its map everywhere."""
    x = tiny_images[:1]
    return explained, x, local_evidence(explained, x, explained.reference.states)


def around_peak(model, local, *, with_peak: bool) -> np.ndarray:
    """Half of the image, with or without the pixel that speaks most for the class called."""
    sign = 1 if local.logit >= model.decision_logit.item() else -1
    row = np.unravel_index((sign * local.locations).argmax(), local.locations.shape)[0]
    upper = np.zeros(local.locations.shape, bool)
    upper[: len(upper) // 2] = True
    return upper if (row < len(upper) // 2) == with_peak else ~upper


@pytest.mark.parametrize("with_peak", [True, False])
def test_the_sum_stays_exact_and_nothing_outside_is_drawn(subject, with_peak) -> None:
    model, x, everywhere = subject
    region = around_peak(model, everywhere, with_peak=with_peak)
    local = local_evidence(model, x, model.reference.states, region=region)
    assert not local.locations[~region].any()
    assert np.array_equal(local.locations[region], everywhere.locations[region])
    assert local.outside == pytest.approx(everywhere.locations[~region].sum())
    total = local.locations.sum() + local.outside + local.bias + local.jitter
    assert total == pytest.approx(local.logit, abs=1e-9)
    assert local.constant == pytest.approx(local.outside + local.bias + local.jitter)
    assert local.strays is not with_peak


def test_what_is_checked_lies_in_the_region(subject, monkeypatch) -> None:
    model, x, everywhere = subject
    region = around_peak(model, everywhere, with_peak=False)
    local = local_evidence(model, x, model.reference.states, region=region)
    seen = []
    monkeypatch.setattr(
        "medinv.explanation.local.log_odds",
        lambda model, images: seen.append(images) or images[:, 0, 0, 0],
    )
    checked(model, x, local, x[0] + 1)  # each pixel rises by how far it is replaced
    share = (seen[0][0, 0] - x[0, 0]).numpy()
    assert share.max() > 0.5 and region[share > 0.6].all()


def test_no_place_is_named_where_the_loudest_one_lies_outside(subject) -> None:
    model, x, everywhere = subject
    region = around_peak(model, everywhere, with_peak=False)
    local = local_evidence(model, x, model.reference.states, region=region)
    local = checked(model, x, replace(local, region_name="lungs"), model.reference.class_means[0])
    held = replace(local, check=replace(local.check, fall=9.0, elsewhere=(0.0,)))
    assert not held.valid and replace(held, strays=False).valid
    said = strings.local_check(held, "yes", "no")
    assert said.startswith("No place can be named") and "outside the lungs" in said
    assert strings.outside_region(everywhere) == ""
    assert f"{strings.signed(local.outside)} log-odds" in strings.outside_region(local)
