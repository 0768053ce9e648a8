"""What the network says of an image does not depend on the images beside it."""

import numpy as np
import pytest
import torch

from medinv.analysis.infer import predict, predict_studies
from medinv.errors import MedinvError, NetworkError
from medinv.layers import Chain


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    noise = torch.randint(0, 256, (7, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise.double(), 5, 1, 2).round()
    return list(smooth.numpy().astype(np.uint8))


def _said(predictions) -> list[tuple]:
    """All but times, bit for bit."""
    return [
        (p.probabilities, p.scope_score, p.exact, p.max_abs_error, p.decoded.tobytes())
        for p in predictions
    ]


def test_alone_together_and_in_any_order_an_image_gets_the_same_numbers(phantom, images) -> None:
    together = _said(predict(phantom, images))
    assert _said(one for image in images for one in predict(phantom, [image])) == together
    order = [3, 0, 6, 2, 5, 1, 4]
    shuffled = _said(predict(phantom, [images[i] for i in order]))
    assert [shuffled[order.index(i)] for i in range(len(images))] == together
    (first, second) = predict_studies(phantom, [images[:1], images[1:]])
    assert _said(first) + _said(second) == together
    assert len(set(together)) == len(images)


def test_one_image_that_the_network_cannot_take_costs_its_study_alone(phantom, images) -> None:
    good, bad, empty = predict_studies(phantom, [images[:2], [images[2][:, :32]], []])
    assert _said(good) == _said(predict(phantom, images[:2])) and empty == []
    assert isinstance(bad, MedinvError) and bad.stage == "network"


def test_numbers_that_are_not_finite_are_no_prediction(phantom, images, monkeypatch) -> None:
    inverse = Chain.inverse
    monkeypatch.setattr(Chain, "inverse", lambda self, y, *_: inverse(self, y) * float("nan"))
    with pytest.raises(NetworkError, match="finite"):
        predict(phantom, images[:1])
