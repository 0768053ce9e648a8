"""What stands behind an explanation: nearest cases, and everything together."""

import json
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medinv.explanation.behind import arrays, behind, scalars
from medinv.explanation.counterfactual.direction import counterfactual
from medinv.explanation.local import usual_states
from medinv.explanation.neighbours import last_state, nearest
from medinv.explanation.trunk import steps
from medinv.models.reference import CaseFacts, CaseIndex, principal_axes


@pytest.fixture(scope="module")
def kept(tiny_model, tiny_data) -> CaseIndex:
    """An index of the tiny model's training images on four axes."""
    train = tiny_data.train
    x = torch.from_numpy(train.images).double()
    with torch.no_grad():
        coarse = last_state(tiny_model, x).flatten(1).float()
    axes = principal_axes(
        coarse, (tiny_model.means[1] - tiny_model.means[0]).detach().flatten().float(), 4
    )
    offset, scale = axes @ coarse.mean(0), (coarse @ axes.T).std(0)
    facts = CaseFacts(
        weights_sha256="0", cases_sha256="0", training_set="tiny", cases=len(train), axes=4, recovered_least_squares=0.2, recovered_network=0.1,
        recovered_best_axes=0.5, agreement=0.5, agreement_chance=0.5, rms_nearest=1.0, rms_chance=2.0, typical_distance=(0.5, 1.0),
    )  # fmt: skip
    usual = usual_states(tiny_model, [x], (steps(tiny_model.trunk)[4].name,))
    means = torch.stack([x[torch.from_numpy(train.labels == k)].mean(0) for k in (0, 1)])
    return CaseIndex(
        axes,
        offset,
        scale,
        (coarse @ axes.T - offset) / scale,
        torch.from_numpy(train.labels),
        means,
        usual,
        facts,
    )


def test_a_training_image_is_nearest_to_itself(tiny_model, tiny_data, kept) -> None:
    for row in (0, 7, 40):
        found = nearest(
            tiny_model, kept, torch.from_numpy(tiny_data.train.images[row : row + 1]).double()
        )
        assert found.ids[0] == row and found.distances[0] < 1e-4 and found.valid
        assert found.labels[0] == tiny_model.classes[tiny_data.train.labels[row]] and list(
            found.distances
        ) == sorted(found.distances)
        assert found.recovered == 0.2


def test_an_image_unlike_any_case_is_not_called_similar(tiny_model, tiny_data, kept) -> None:
    far = replace(kept, points=kept.points + 100)
    assert not nearest(tiny_model, far, torch.from_numpy(tiny_data.train.images[:1]).double()).valid


def test_axes_are_orthonormal_and_begin_with_the_class_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse, direction = (
        torch.randn(50, 12, generator=generator),
        torch.randn(12, generator=generator),
    )
    axes = principal_axes(coarse, direction, 5)
    assert torch.allclose(axes @ axes.T, torch.eye(5), atol=1e-5)
    assert torch.allclose(axes[0], direction / direction.norm(), atol=1e-6)


def test_everything_of_one_image_has_its_checks_and_can_be_written(
    tiny_model, tiny_config, tiny_images, kept
) -> None:
    model = deepcopy(tiny_model)
    model.card = SimpleNamespace(config=tiny_config)
    x = tiny_images[:1]
    found = behind(model, x, counterfactual(model, x, 1), kept)
    assert found.trace.exact and found.ratio.residual < 1e-9 and found.head.residual < 1e-6
    assert {control.name for control in found.controls.changes} == {
        "noise",
        "blur",
        "class-mean difference",
    }
    assert {one.name for one in found.controls.likenesses} == {"untrained weights", "sham head"}
    written = json.loads(json.dumps(scalars(found)))
    assert (
        written["trace"]["depths"][0]["name"] == found.trace.depths[0].name
        and "image" not in written["trace"]["depths"][0]
    )
    assert all(isinstance(array, np.ndarray) for array in arrays(found).values())


def test_without_an_index_the_rest_is_still_there(tiny_model, tiny_config, tiny_images) -> None:
    model = deepcopy(tiny_model)
    model.card = SimpleNamespace(config=tiny_config)
    found = behind(model, tiny_images[:1], counterfactual(model, tiny_images[:1], 0), None)
    assert found.nearest is None and {control.name for control in found.controls.changes} == {
        "noise",
        "blur",
    }
