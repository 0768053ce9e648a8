"""The trace: what stands at every depth decodes to the input, and stages say what they hold."""

import numpy as np
import pytest
import torch

from medinv.explanation.trace import probe, trace
from medinv.models.depths import decode, run, steps


def test_every_depth_decodes_to_the_input(plain) -> None:
    model, x = plain
    found = trace(model, x)
    assert [depth.name for depth in found.depths] == [step.name for step in steps(model.trunk)]
    assert found.exact and 0 < found.max_abs_error < 1e-9
    for depth in found.depths:
        assert (
            depth.image.shape == tuple(x.shape[2:])
            and np.abs(depth.image - x[0, 0].numpy()).max() == depth.max_abs_error
        )


def test_condition_numbers_are_those_of_the_dense_jacobian(plain) -> None:
    model, x = plain
    before = x
    for layer, depth in zip(model.trunk, trace(model, x, iterations=200).depths, strict=True):
        jacobian = torch.autograd.functional.jacobian(layer, before)
        jacobian = jacobian.reshape(x.numel(), x.numel())
        assert depth.condition_number == pytest.approx(torch.linalg.cond(jacobian).item(), rel=2e-2)
        before = layer(before).detach()


def test_a_trunk_with_levels_says_what_each_holds(tiny_model, tiny_images) -> None:
    found = trace(tiny_model, tiny_images[:1])
    assert found.exact and found.depths[0].energy_share == 1 and found.depths[-1].energy_share < 1
    assert sum(stage.energy_share for stage in found.stages) == pytest.approx(1)
    assert sum(stage.values for stage in found.stages) == tiny_images[0].numel()
    assert found.stages[0].energy_share == pytest.approx(found.depths[-1].energy_share)
    assert found.stages[-1].variance_explained == pytest.approx(1, abs=1e-12), (
        "all stages together are the image"
    )


def test_going_back_from_the_middle_needs_what_has_left(tiny_model, tiny_images) -> None:
    path = steps(tiny_model.trunk)
    states = list(run(path, tiny_images))
    for number, state in enumerate(states, start=1):
        assert torch.allclose(decode(path[:number], state), tiny_images, rtol=0, atol=1e-9)
    assert torch.equal(
        torch.cat([states[-1].here.flatten(1)], 1),
        tiny_model.features(tiny_images)[:, : tiny_model.means.shape[1]].flatten(1),
    )


def test_a_probe_finds_labels_and_not_shuffled_ones(tiny_model) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = generator.integers(60, 100, (200, 1, 16, 16)).astype(np.uint8)
    images[labels == 1, :, 3:10, 3:10] += 120
    for figure in probe(tiny_model, (images[:100], labels[:100]), (images[100:], labels[100:])):
        if figure.name in ("input", "last level, decides"):
            assert figure.auc > 0.95, figure
        assert 0.25 < figure.sham_auc < 0.75, figure
