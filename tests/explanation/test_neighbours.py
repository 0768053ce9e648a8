"""Nearest cases: near in the projection, with their labels, not called similar where far."""

from dataclasses import replace

import pytest
import torch

from medinv.explanation.neighbours import nearest
from medinv.models.reference import principal_axes


@pytest.mark.parametrize("row", [0, 7, 40])
def test_a_training_image_is_nearest_to_itself(explained, tiny_data, reference, row) -> None:
    x = torch.from_numpy(tiny_data.train.images[row : row + 1]).double()
    found = nearest(explained, reference, x)
    assert found.ids[0] == row and found.distances[0] < 1e-4 and found.valid
    assert found.labels[0] == explained.classes[tiny_data.train.labels[row]]
    assert list(found.distances) == sorted(found.distances) and len(found.ids) == 5
    assert found.recovered == 0.2 and found.typical == (0.5, 1.0)
    farther = torch.linalg.vector_norm(reference.points - reference.points[row], dim=1)
    assert found.ids == tuple(farther.argsort()[:5].tolist())


def test_agreement_is_with_the_class_called_and_chance_its_share_of_all(
    explained, tiny_images, reference
) -> None:
    labels = reference.labels.clone()
    labels[labels.nonzero()[:9, 0]] = 0  # else both classes have the same share
    reference = replace(reference, labels=labels)
    for x in tiny_images.split(1):
        with torch.no_grad():
            odds = explained.log_odds(explained.logits(x)).item()
        called = int(odds >= explained.decision_logit.item())
        found = nearest(explained, reference, x)
        wanted = [label == explained.classes[called] for label in found.labels]
        assert found.agreement == sum(wanted) / 5
        assert found.chance == pytest.approx((reference.labels == called).double().mean().item())


def test_a_set_of_few_cases_gives_them_all(explained, tiny_images, reference) -> None:
    few = replace(reference, points=reference.points[:3], labels=reference.labels[:3])
    assert set(nearest(explained, few, tiny_images[:1]).ids) == {0, 1, 2}


def test_an_image_unlike_any_case_is_not_called_similar(explained, tiny_data, reference) -> None:
    far = replace(reference, points=reference.points + 100)
    x = torch.from_numpy(tiny_data.train.images[:1]).double()
    assert not nearest(explained, far, x).valid
    found = nearest(explained, reference, x)
    assert not replace(found, distances=(1.01, 2.0)).valid
    assert replace(found, distances=(0.99, 2.0)).valid and not replace(found, distances=()).valid


def test_axes_are_orthonormal_and_begin_with_the_class_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(50, 12, generator=generator)
    direction = torch.randn(12, generator=generator)
    axes = principal_axes(coarse, direction, 5)
    assert torch.allclose(axes @ axes.T, torch.eye(5), atol=1e-5)
    assert torch.allclose(axes[0], direction / direction.norm(), atol=1e-6)
