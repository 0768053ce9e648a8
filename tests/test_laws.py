"""One body of laws that every invertible layer obeys."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import (
    ACTIVATIONS,
    MAKERS,
    ROUNDING,
    SHAPE,
    SHAPES,
    THROUGH,
    WIDENING,
    every_layer,
    perturbed,
)

from medinv.errors import MedinvError
from medinv.layers import (
    ActNorm,
    Chain,
    ChannelFlip,
    Inverse,
    Invertible,
    LeakyReLU,
    LeftInvertible,
    Squeeze,
)

PLACES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _name(request: pytest.FixtureRequest) -> str:
    return next(
        request.node.callspec.params[key]
        for key in ("layer", "widening")
        if key in request.node.callspec.params
    )


@pytest.fixture(params=PLACES)
def place(request) -> str:
    """Every device that is there."""
    return request.param


@pytest.fixture(params=MAKERS)
def layer(request, place) -> Invertible:
    torch.manual_seed(0)
    return perturbed(MAKERS[request.param](2)).double().to(place)


@pytest.fixture(params=WIDENING)
def widening(request, place) -> LeftInvertible:
    torch.manual_seed(0)
    return perturbed(WIDENING[request.param](2)).double().to(place)


@pytest.fixture
def x(request, place) -> torch.Tensor:
    return _drawn(SHAPES.get(_name(request), SHAPE), 1).to(place)


def _drawn(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def test_no_layer_escapes_the_laws() -> None:
    proven = {type(make(2)) for name, make in (MAKERS | WIDENING).items() if name != "template"}
    concrete = every_layer()
    assert concrete == proven | set(THROUGH.values())
    assert {type(make(2)) for make in WIDENING.values()} == {
        c for c in concrete if issubclass(c, LeftInvertible)
    }


def test_the_inverse_gives_the_input_back(layer, x) -> None:
    assert torch.allclose(layer.inverse(layer(x)), x, rtol=0, atol=1e-12)


def test_any_output_has_a_preimage(layer, x) -> None:
    y = _drawn(layer(x).shape, 2).to(x)
    assert torch.allclose(layer(layer.inverse(y)), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MAKERS | WIDENING)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 4),
    channels=st.integers(2, 4),
    size=st.tuples(*[st.integers(1, 3)] * 2),
    wide=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_size_batch_and_precision_comes_back(name, batch, channels, size, wide, seed) -> None:
    torch.manual_seed(seed)
    dtype = torch.float64 if wide else torch.float32
    layer = perturbed((MAKERS | WIDENING)[name](channels)).to(dtype)
    x = torch.randn(
        batch, channels, *(4 * n for n in size), *SHAPES.get(name, SHAPE)[4:], dtype=dtype
    )
    with torch.no_grad():
        y, log_det = layer.call_and_log_det(x)
        back = layer.inverse(y)
    assert (
        back.shape == x.shape
        and y.dtype == back.dtype == log_det.dtype == dtype
        and log_det.shape == (batch,)
    )
    assert torch.allclose(back, x, rtol=0, atol=1e-11 if wide else 2e-3)


def test_log_det_is_that_of_the_jacobian(layer, x) -> None:
    for one, log_det in zip(x, layer.log_det(x), strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda v: layer(v[None]).flatten(), one
        ).reshape(one.numel(), one.numel())
        assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det.item(), abs=1e-9)


def test_call_and_log_det_agree_with_the_separate_calls(layer, x) -> None:
    y, log_det = layer.call_and_log_det(x)
    assert (
        torch.allclose(y, layer(x))
        and torch.allclose(log_det, layer.log_det(x))
        and log_det.shape == (3,)
    )


def test_gradients_are_those_of_finite_differences(layer, x, request, monkeypatch) -> None:
    if _name(request) in ROUNDING:
        monkeypatch.setattr(torch, "floor", lambda v: v)
        monkeypatch.setattr(torch, "round", lambda v: v)

    def objective(v: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        y, log_det = layer.call_and_log_det(v)
        return (y.sin().sum() + log_det.sum()).reshape(1)

    inputs = (x[:1].clone().requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(objective, inputs, eps=1e-6, atol=1e-6, nondet_tol=1e-12)


@pytest.mark.parametrize("name", ROUNDING)
def test_gradients_pass_straight_through_roundings(name, monkeypatch) -> None:
    torch.manual_seed(0)
    layer = perturbed(MAKERS[name](2)).double()
    x = (200 * torch.rand(SHAPE, dtype=torch.float64)).round().requires_grad_()
    weights = torch.randn_like(layer(x))
    assert torch.equal(layer(x), layer(x).round())
    rounded = torch.autograd.grad((layer(x) * weights).sum(), (x, *layer.parameters()))
    monkeypatch.setattr(torch, "floor", lambda v: v)
    monkeypatch.setattr(torch, "round", lambda v: v)
    smooth = torch.autograd.grad((layer(x) * weights).sum(), (x, *layer.parameters()))
    assert all(
        torch.allclose(a, b, rtol=1e-2, atol=1e-2 * b.abs().max().item())
        for a, b in zip(rounded, smooth, strict=True)
    )


@pytest.mark.parametrize("name", MAKERS)
def test_inverse_norm_is_that_of_the_jacobian(name) -> None:
    torch.manual_seed(0)
    layer, x = (
        perturbed(MAKERS[name](2)).double(),
        torch.randn(1, *SHAPES.get(name, SHAPE)[1:], dtype=torch.float64),
    )
    values = torch.linalg.svdvals(_jacobian(layer, x[0]))
    assert layer.inverse_norm(x, iterations=200).item() == pytest.approx(
        1 / values[-1].item(), rel=0.02
    )


def test_condition_number_is_that_of_the_jacobian(layer, x) -> None:
    one = x[:1]
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v).flatten(), one).reshape(
        one.numel(), one.numel()
    )
    assert layer.condition_number(one, iterations=200).item() == pytest.approx(
        torch.linalg.cond(jacobian).item(), rel=0.02
    )


def test_weights_survive_a_save(layer, x, tmp_path, request) -> None:
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(99)
    other = perturbed(MAKERS[_name(request)](2)).double().to(x.device)
    other.inverse(other(x))  # fills whatever the layer remembers of its first weights
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(x), layer(x)) and torch.allclose(
        other.inverse(layer(x)), x, rtol=0, atol=1e-12
    )


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


@pytest.mark.parametrize("shape", [(2, 8, 4), (3, 2, 8, 4, 4), (3, 5, 7, 3)])
def test_wrong_shapes_say_what_was_expected_and_what_came(layer, shape, request) -> None:
    sides = len(SHAPES.get(_name(request), SHAPE)) - 2
    if (
        (isinstance(layer, ChannelFlip) and len(shape) == 4)
        or isinstance(layer, ACTIVATIONS)
        or (len(shape) == 2 + sides and shape[1] == 2)
    ):
        pytest.skip("acts on such shapes too")
    with pytest.raises(MedinvError, match="expects") as caught:
        layer(torch.zeros(shape, dtype=torch.float64))
    assert str(shape) in str(caught.value) or str(tuple(shape)[1:]) in str(caught.value)


def test_initialise_gives_unit_channels() -> None:
    layer = ActNorm(2).double()
    y = layer.initialise(5 + 3 * _drawn((64, 2, 8, 8), 0))
    assert y.mean((0, 2, 3)).abs().max() < 1e-12 and (y.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_a_leaky_chain_cannot_hide_its_volume() -> None:
    chain = Chain(LeakyReLU(0.5), LeakyReLU(0.5))
    assert chain.log_det(-torch.ones(1, 1, 2, 2, dtype=torch.float64)).item() == pytest.approx(
        8 * math.log(0.5)
    )


def _jacobian(layer: Invertible, one: torch.Tensor) -> torch.Tensor:
    return torch.autograd.functional.jacobian(lambda v: layer(v[None]).flatten(), one).reshape(
        -1, one.numel()
    )


def test_widening_gives_the_input_back_and_tells_what_a_projection_loses(widening, x) -> None:
    y = widening(x)
    assert (
        torch.allclose(widening.inverse(y), x, rtol=0, atol=1e-12)
        and widening.residual(y).max() < 1e-12
    )
    foreign = _drawn(y.shape, 2).to(y)
    projected = widening(widening.inverse(foreign))
    assert widening.residual(foreign).min() > 1e-2 and widening.residual(projected).max() < 1e-12


def test_log_det_of_a_widening_is_the_growth_of_volume_in_its_image(widening, x) -> None:
    jacobian = _jacobian(widening, x[0])
    assert 0.5 * torch.linalg.slogdet(jacobian.T @ jacobian)[1].item() == pytest.approx(
        widening.log_det(x)[0].item(), abs=1e-9
    )


def test_a_chain_refuses_a_log_det_that_would_be_wrong_after_widening(x, widening) -> None:
    y = widening(x)
    chain = Chain(ActNorm(2), widening, Squeeze(2)).double().to(x.device)
    jacobian = _jacobian(chain, x[0])
    assert 0.5 * torch.linalg.slogdet(jacobian.T @ jacobian)[1].item() == pytest.approx(
        chain.log_det(x)[0].item(), abs=1e-9
    )
    with pytest.raises(MedinvError, match="expects isometries"):
        Chain(widening, ActNorm(y.shape[1])).double().to(x.device).log_det(x)


def test_narrowing_is_the_inverse_of_widening(widening, x) -> None:
    narrow = Inverse(widening)
    y = widening(x)
    assert torch.allclose(narrow(y), x, rtol=0, atol=1e-12) and torch.allclose(
        narrow.inverse(x), y, rtol=0, atol=1e-12
    )
