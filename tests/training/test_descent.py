"""On a CUDA device a step is one graph: it must go down the same objective."""

import pytest
import torch

from medinv.config import load_config
from medinv.models.build import build, kind_of
from medinv.training.descent import Captured, Eager, Objective

NO_DEVICE = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def objective(configs, name: str, place: str) -> tuple[Objective, tuple[torch.Tensor, ...]]:
    config = load_config(configs / name, ("train.compose=null", "train.start=null"))
    torch.manual_seed(0)
    network = build(config).to(place)
    images = 255 * torch.rand(4, *config.image_shape)
    inputs = (images.to(place), torch.tensor([0, 1, 1, 0], device=place))
    made = Objective(network, kind_of(config.model), config.train, torch.contiguous_format)
    return made.train(), inputs


@NO_DEVICE
@pytest.mark.parametrize("name", ["chest-xray.yaml", "cifar10.yaml"])
def test_a_captured_step_has_the_gradients_of_one_that_is_not(configs, name) -> None:
    made, inputs = objective(configs, name, "cuda")
    found = []
    for way in (Captured(made), Eager(made)):
        before = {key: value.clone() for key, value in made.state_dict().items()}
        way(inputs, 0)
        made.load_state_dict(before)
        torch.cuda.manual_seed(1)
        record = way(inputs, 0)
        gradients = torch.cat([each.grad.flatten() for each in made.parameters()])
        found.append((record.cpu(), gradients.cpu()))
    (first, one), (second, other) = found
    assert torch.allclose(first, second, rtol=1e-4, equal_nan=True)
    assert (one - other).norm() < 1e-3 * other.norm()


def test_the_record_of_a_step_is_its_cross_entropy_and_bits(configs) -> None:
    made, inputs = objective(configs, "cifar10.yaml", "cpu")
    record = Eager(made)(inputs, 0)
    assert record[0] > 0 and record[1].isnan()
    assert all(each.grad is not None for each in made.parameters() if each.requires_grad)
    made, inputs = objective(configs, "phantom-opacity.yaml", "cpu")
    assert (Eager(made)(inputs, 0) > 0).all()
