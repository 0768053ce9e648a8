"""One body of laws that every invertible layer obeys."""

import inspect
import math

import pytest
import torch

import medinv.layers
from medinv.errors import MedinvError
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    FrozenNorm,
    Haar,
    Inverse,
    Invertible,
    InvertibleConv2d,
    LeakyReLU,
    Multiscale,
    Squeeze,
)


def _perturbed(layer: Invertible) -> Invertible:
    """A layer as after training: no parameter at its starting value, kernels still well conditioned."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return layer


def _multiscale() -> Multiscale:
    return Multiscale([Chain(Haar(), InvertibleConv2d(8), AffineCoupling(8, 4)), Chain(Haar(), ActNorm(12), AdditiveCoupling(12, 4))], [3])


MAKERS = {
    "conv3": lambda: InvertibleConv2d(2),
    "conv3-bias": lambda: InvertibleConv2d(2, bias=True),
    "conv1": lambda: InvertibleConv2d(2, kernel_size=1),
    "actnorm": lambda: ActNorm(2),
    "frozen-norm": lambda: FrozenNorm([0.5, -1.0], [2.0, 0.25]),
    "leaky": lambda: LeakyReLU(0.6),
    "squeeze": lambda: Squeeze(2),
    "haar": lambda: Haar(),
    "additive": lambda: AdditiveCoupling(2, 4),
    "affine": lambda: AffineCoupling(2, 4),
    "chain": lambda: Chain(ActNorm(2), InvertibleConv2d(2), LeakyReLU(0.8), AffineCoupling(2, 4)),
    "inverse": lambda: Inverse(Chain(InvertibleConv2d(2), ActNorm(2))),
    "multiscale": _multiscale,
}
SHAPE = (3, 2, 8, 4)


@pytest.fixture(params=MAKERS)
def layer(request) -> Invertible:
    torch.manual_seed(0)
    return _perturbed(MAKERS[request.param]()).double()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_no_layer_escapes_the_laws() -> None:
    concrete = {c for c in vars(medinv.layers).values() if inspect.isclass(c) and issubclass(c, Invertible) and not inspect.isabstract(c)}
    assert concrete == {type(make()) for make in MAKERS.values()}


def test_the_inverse_gives_the_input_back(layer, x) -> None:
    assert torch.allclose(layer.inverse(layer(x)), x, rtol=0, atol=1e-12)


def test_any_output_has_a_preimage(layer, x) -> None:
    y = torch.randn(layer(x).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(layer(layer.inverse(y)), y, rtol=0, atol=1e-12)


def test_log_det_is_that_of_the_jacobian(layer, x) -> None:
    for one, log_det in zip(x, layer.log_det(x)):
        jacobian = torch.autograd.functional.jacobian(lambda v: layer(v[None]).flatten(), one).reshape(one.numel(), one.numel())
        assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det.item(), abs=1e-9)


def test_call_and_log_det_agree_with_the_separate_calls(layer, x) -> None:
    y, log_det = layer.call_and_log_det(x)
    assert torch.allclose(y, layer(x)) and torch.allclose(log_det, layer.log_det(x)) and log_det.shape == (3,)


def test_gradients_are_those_of_finite_differences(layer, x) -> None:
    def objective(v: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        y, log_det = layer.call_and_log_det(v)
        return (y.sin().sum() + log_det.sum()).reshape(1)

    inputs = (x[:1].clone().requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(objective, inputs, eps=1e-6, atol=1e-6)


def test_condition_number_is_that_of_the_jacobian(layer, x) -> None:
    one = x[:1]
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v).flatten(), one).reshape(one.numel(), one.numel())
    assert layer.condition_number(one, iterations=200).item() == pytest.approx(torch.linalg.cond(jacobian).item(), rel=0.02)


def test_weights_survive_a_save(layer, x, tmp_path, request) -> None:
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(99)
    other = _perturbed(MAKERS[request.node.callspec.params["layer"]]()).double()
    other.inverse(other(x))  # fills whatever the layer remembers of its first weights
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(x), layer(x)) and torch.allclose(other.inverse(layer(x)), x, rtol=0, atol=1e-12)


def test_the_inverse_follows_weights_changed_behind_its_back(layer, x) -> None:
    layer.inverse(layer(x))
    for parameter in layer.parameters():
        parameter.data.mul_(1.1)
    assert torch.allclose(layer.inverse(layer(x)), x, rtol=0, atol=1e-12)


def test_float32_in_float32_out(layer, x) -> None:
    single = layer.float()
    y = single(x.float())
    back = single.inverse(y)
    assert y.dtype == back.dtype == torch.float32
    assert torch.allclose(back, x.float(), rtol=0, atol=1e-4)
    again = single.double()
    assert torch.allclose(again.inverse(again(x)), x, rtol=0, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_moves_to_a_device_and_back(layer, x) -> None:
    there = layer.cuda()
    y = there(x.cuda())
    assert torch.allclose(there.inverse(y).cpu(), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 8, 4), (3, 2, 8, 4, 4), (3, 5, 7, 3)])
def test_wrong_shapes_say_what_was_expected_and_what_came(layer, shape) -> None:
    if isinstance(layer, LeakyReLU):
        pytest.skip("acts on any shape")
    with pytest.raises(MedinvError, match="expects") as caught:
        layer(torch.zeros(shape, dtype=torch.float64))
    assert str(shape) in str(caught.value) or str(tuple(shape)[1:]) in str(caught.value)


def test_initialise_gives_unit_channels() -> None:
    layer = ActNorm(2).double()
    y = layer.initialise(5 + 3 * torch.randn(64, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert y.mean((0, 2, 3)).abs().max() < 1e-12 and (y.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_a_leaky_chain_cannot_hide_its_volume() -> None:
    chain = Chain(LeakyReLU(0.5), LeakyReLU(0.5))
    assert chain.log_det(-torch.ones(1, 1, 2, 2, dtype=torch.float64)).item() == pytest.approx(8 * math.log(0.5))
