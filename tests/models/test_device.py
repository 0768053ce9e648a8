"""Where a network computes: refused where there is none, and the same answers on any device."""

import re

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from medinv.analysis.infer import predict
from medinv.cli.main import app
from medinv.errors import DeviceError
from medinv.explanation.explain import explain
from medinv.models.device import described, device_named
from medinv.models.store import load
from tests.pretended import DEVICE, NAME, pretended


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "gpu", "cuda:", "CPU", "cuda:-1", ""])
def test_a_device_that_is_not_there_is_refused_and_what_is_there_is_named(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"expected --device cpu .*no CUDA device.*got") as raised:
        device_named(name)
    assert repr(name) in str(raised.value) and raised.value.code == "device"


def test_of_several_devices_each_is_named_and_the_first_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device}")
    assert device_named("cuda") == torch.device("cuda", 0)
    assert device_named("cuda:1") == torch.device("cuda", 1)
    assert described(torch.device("cuda", 1)) == "cuda:1, Card cuda:1"
    expected = re.escape("cpu, cuda:0 (Card 0), cuda:1 (Card 1); got 'cuda:2'")
    with pytest.raises(DeviceError, match=expected):
        device_named("cuda:2")


def test_a_network_elsewhere_says_and_explains_what_it_does_here(
    tiny_folder, tiny_images, monkeypatch
):
    """On a device whose tensors do not mix with those of the processor, as a real one's do not."""
    images = [image.numpy().astype(np.uint8) for image in tiny_images[:2]]
    here = load(tiny_folder)
    said, why = predict(here, images), explain(here, images[0], detail="full")
    with pretended(monkeypatch):
        there = load(tiny_folder, device="cuda")
        assert next(there.parameters()).device == DEVICE
        away, also = predict(there, images), explain(there, images[0], detail="full")
        with pytest.raises(RuntimeError, match="two devices"):
            there.logits(tiny_images)
        assert NAME in str(torch.cuda.get_device_name())
    for one, other in zip(said, away, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-9)
        assert other.exact and (other.decoded.round() == one.decoded.round()).all()
        assert (one.device, other.device) == ("cpu", DEVICE.type)
    assert also.prediction.label == why.prediction.label
    np.testing.assert_allclose(also.evidence.contributions, why.evidence.contributions, atol=1e-8)
    assert also.neighbours.ids == why.neighbours.ids


@pytest.mark.parametrize("command", ["train", "init"])
def test_training_too_is_refused_before_anything_is_read(command):
    result = CliRunner().invoke(app, [command, "none", "--device", "cuda:7"])
    assert isinstance(result.exception, DeviceError) and "cuda:7" in str(result.exception)
