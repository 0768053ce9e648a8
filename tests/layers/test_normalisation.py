"""Batch normalisation forwards as torch's own, and backwards in both modes."""

import pytest
import torch
from torch import nn

from medinv.errors import ShapeError, SingularError
from medinv.layers import InvertibleBatchNorm


def _pair() -> tuple[InvertibleBatchNorm, nn.BatchNorm2d]:
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(3).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([0.5, -2.0, 1.5]))
        theirs.bias.normal_()
    ours = InvertibleBatchNorm(3).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def _batch(seed: int) -> torch.Tensor:
    return 4 + 3 * torch.randn(
        5, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def test_outputs_gradients_and_running_statistics_are_those_of_torch() -> None:
    ours, theirs = _pair()
    for seed in range(3):
        x, weights = _batch(seed).requires_grad_(), _batch(9)
        mine = torch.autograd.grad((ours(x) * weights).sum(), (x, *ours.parameters()))
        other = torch.autograd.grad((theirs(x) * weights).sum(), (x, *theirs.parameters()))
        assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(mine, other, strict=True))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(
        torch.allclose(a, b)
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )
    assert torch.allclose(ours.eval()(_batch(4)), theirs.eval()(_batch(4)), atol=1e-12)


def test_inverse_undoes_the_last_batch_in_training_and_any_image_in_evaluation() -> None:
    layer, _ = _pair()
    layer(_batch(0))
    x = _batch(1)
    assert torch.allclose(layer.inverse(layer(x)), x, atol=1e-12)
    layer.eval()
    one = _batch(2)[:1]
    assert torch.allclose(layer.inverse(layer(one)), one, atol=1e-12)
    layer.train()
    assert not torch.allclose(layer.inverse(layer(x)[:1]), one)


@pytest.mark.parametrize("training", [True, False])
def test_log_det_is_that_of_each_image_with_the_statistics_given(training) -> None:
    layer, _ = _pair()
    layer(_batch(0))
    layer.train(training)
    x = _batch(1)
    y, log_det = layer.call_and_log_det(x)
    assert torch.allclose(log_det, layer.log_det(x))
    mean, var = (
        (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0))
        if training
        else (layer.running_mean, layer.running_var)
    )
    frozen = nn.BatchNorm2d(3, momentum=None).double().eval()
    frozen.load_state_dict({**layer.state_dict(), "running_mean": mean, "running_var": var})
    assert torch.allclose(frozen(x), y, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(
        lambda v: frozen(v[None]).flatten(), x[0]
    ).reshape(72, 72)
    assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det[0].item(), abs=1e-9)


def test_asking_for_a_log_det_moves_no_statistic() -> None:
    layer, _ = _pair()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.log_det(_batch(0))
    layer.condition_number(_batch(0))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_what_cannot_be_undone_is_refused() -> None:
    layer = InvertibleBatchNorm(3)
    with pytest.raises(ShapeError, match="forward before"):
        layer.inverse(torch.zeros(1, 3, 2, 2))
    with pytest.raises(ShapeError, match="two values"):
        layer(torch.zeros(1, 3, 1, 1))
    with torch.no_grad():
        layer.weight[1] = 0
    with pytest.raises(SingularError, match="weights"):
        layer.eval().inverse(torch.zeros(1, 3, 2, 2))
