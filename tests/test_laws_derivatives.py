"""Derivatives of every layer: both orders of forward, inverse and log_det, or an error."""

import pytest
import torch
from laws import MAKERS, ROUNDING, SHAPES, WIDENING, perturbed
from torch.autograd import gradcheck, gradgradcheck

from medinv.layers import Inverse, InvertibleConv2d, InvertibleConv3d

ONCE = ("reversible", "recomputing")  # their second derivatives are refused


def _layer_and_image(name: str):
    torch.manual_seed(0)
    layer = perturbed((MAKERS | WIDENING)[name](2)).double()
    shape = SHAPES.get(name, (3, 2, 4, 4))
    return layer, torch.randn(1, 2, 4, *shape[3:], dtype=torch.float64)


def _check(function, x: torch.Tensor, layer: torch.nn.Module, second: bool) -> None:
    """`function(x)` with the layer's weights as further inputs, changed behind its back."""
    weights = dict(layer.named_parameters())

    def called(v: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        changed = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(_Bound(layer, function), _prefixed(changed), (v,))

    inputs = (x.clone().requires_grad_(), *(w.detach().requires_grad_() for w in weights.values()))
    if not called(*inputs).requires_grad:
        return  # constant, as the log-determinant of an isometry
    assert gradcheck(called, inputs, eps=1e-6, atol=1e-6, fast_mode=True)
    if second:
        grad_twice = called(*inputs).sum()
        first = torch.autograd.grad(grad_twice, inputs, create_graph=True, allow_unused=True)
        if any(g is not None and g.requires_grad for g in first):
            assert gradgradcheck(called, inputs, eps=1e-6, atol=1e-6, fast_mode=True)


class _Bound(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module, function: str):
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """y."""
        return getattr(self.layer, self.function)(v)


def _prefixed(changed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"layer.{name}": value for name, value in changed.items()}


@pytest.mark.parametrize("function", ["forward", "inverse", "log_det"])
@pytest.mark.parametrize("name", MAKERS | WIDENING)
def test_derivatives_are_right_to_second_order_or_refused(name, function, monkeypatch) -> None:
    layer, x = _layer_and_image(name)
    if name in ROUNDING:  # their gradients are those of the same layer without its roundings
        monkeypatch.setattr(torch, "floor", lambda v: v)
        monkeypatch.setattr(torch, "round", lambda v: v)
    if function == "inverse":
        x = layer(x).detach()
    _check(function, x, layer, second=name not in ONCE)


@pytest.mark.parametrize("name", ONCE)
def test_second_derivatives_that_would_be_wrong_raise(name) -> None:
    layer, x = _layer_and_image(name)
    y = layer(x.requires_grad_()).sin().sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()


@pytest.mark.parametrize("kind, size", [(InvertibleConv2d, (4, 3)), (InvertibleConv3d, (3, 3, 3))])
@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect", "replicate"])
def test_every_padding_has_both_orders_with_groups_and_bias(kind, size, padding) -> None:
    torch.manual_seed(0)
    layer = perturbed(kind(2, padding=padding, groups=2, bias=True)).double()
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    for function in ("inverse", "log_det"):
        _check(function, x, layer, second=True)
    _check("forward", x, Inverse(layer), second=True)


@pytest.mark.parametrize("name", MAKERS | WIDENING)
def test_function_transforms_pass_through(name) -> None:
    """jvp, jacrev and vmap of forward, inverse and log_det agree with ordinary derivatives."""
    layer, x = _layer_and_image(name)
    if name in ONCE:
        pytest.skip("recomputes what it has thrown away: ordinary backward passes alone")
    direction = torch.randn_like(x)
    for function in (layer.forward, layer.log_det):
        value, change = torch.func.jvp(function, (x,), (direction,))
        jacobian = torch.func.jacrev(function)(x)
        expected = (jacobian.flatten(value.ndim) @ direction.flatten()).view_as(value)
        assert torch.allclose(change, expected, atol=1e-10)
    y = layer(x).detach()
    change = torch.func.jvp(layer.inverse, (y,), (torch.ones_like(y),))[1]
    jacobian = torch.func.jacrev(layer.inverse)(y).flatten(y.ndim)
    assert torch.allclose(change, jacobian.sum(-1).view_as(change), atol=1e-10)
    several = torch.stack([x, 2 * x])
    mapped = torch.func.vmap(lambda v: layer.inverse(layer(v)))(several)
    assert torch.allclose(mapped, several, atol=1e-10)
    assert torch.allclose(torch.func.vmap(layer.log_det)(several)[0], layer.log_det(x))
