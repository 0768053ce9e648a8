"""Features are decoded in float32 where that gives the image back, and it is said which it was."""

import numpy as np
import pytest
import torch

from medinv.models import precision
from medinv.models.store import load_invertible


@pytest.fixture(scope="module")
def network():
    return load_invertible("phantom-opacity")


@torch.no_grad()
def _decoded(network) -> precision.Decoded:
    drawn = np.random.default_rng(0).integers(0, 256, (1, *network.image_shape))
    x = torch.from_numpy(drawn).to(next(network.parameters()))
    (decoded,) = precision.decode(network, network.features(x), x)
    return decoded


def test_an_ordinary_model_decodes_in_float32_and_says_so(network) -> None:
    assert precision.precision(network) == torch.float32
    answer = _decoded(network)
    assert answer.exact and answer.dtype == "float32" and 0 < answer.max_abs_error < 0.1


def test_an_image_that_float32_loses_all_the_same_is_decoded_in_float64(network, monkeypatch):
    single = precision._single(network)
    monkeypatch.setattr(type(single), "inverse", _shifted_in_float32(type(single).inverse))
    answer = _decoded(network)
    assert answer.exact and answer.dtype == "float64"


def _shifted_in_float32(inverse):
    def shifted(self, y, *condition):
        x = inverse(self, y, *condition)
        return x + 1 if x.dtype == torch.float32 else x

    return shifted


def test_a_model_that_float32_would_lose_decodes_in_float64() -> None:
    """It is decided anew when the weights change."""
    network = load_invertible("phantom-opacity")
    assert precision.precision(network) == torch.float32
    with torch.no_grad():
        for parameter in network.trunk.parameters():
            if parameter.ndim == 4:
                parameter[0].mul_(0.1)  # the first channel of every kernel fades
    assert precision.precision(network) == torch.float64
    answer = _decoded(network)
    assert answer.exact and answer.dtype == "float64"


def test_a_network_of_float32_decodes_in_its_own_type() -> None:
    network = load_invertible("phantom-opacity", dtype=torch.float32)
    assert precision.precision(network) == torch.float32
    answer = _decoded(network)
    assert answer.exact and answer.dtype == "float32"
