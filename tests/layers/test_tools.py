"""The tools that networks are put through: export, compile, threads, replicas."""

import threading

import pytest
import torch

from medinv.layers import (
    ActNorm,
    AffineCoupling,
    Chain,
    Haar,
    InvertibleConv2d,
    LeakyReLU,
    SmoothLeakyReLU,
)
from medinv.layers.base import Inverse


def _stack(padding: str = "zeros") -> Chain:
    torch.manual_seed(0)
    conv = InvertibleConv2d(4, padding=padding, bias=True)
    return Chain(
        Haar(), conv, ActNorm(4), LeakyReLU(0.7), AffineCoupling(4, 8), SmoothLeakyReLU(0.5)
    ).double()


@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect"])
def test_forward_and_inverse_are_exported(padding, tmp_path) -> None:
    stack, x = _stack(padding), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    y = stack(x).detach()
    torch.export.save(torch.export.export(stack, (x,)), tmp_path / "forward.pt2")
    torch.export.save(torch.export.export(Inverse(stack), (y,)), tmp_path / "inverse.pt2")
    there = torch.export.load(tmp_path / "forward.pt2").module()
    back = torch.export.load(tmp_path / "inverse.pt2").module()
    assert torch.allclose(there(x), y) and torch.allclose(back(there(x)), x)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_forward_and_inverse_compile_without_a_break_in_the_graph(padding) -> None:
    stack, x = _stack(padding), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    compiled = torch.compile(stack, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), stack(x))
    with torch.no_grad():
        inverse = torch.compile(Inverse(stack), fullgraph=True, backend="aot_eager")
        assert torch.allclose(inverse(stack(x)), x)
    compiled(x).square().sum().backward()
    assert stack.layers[1].weight.grad.abs().sum() > 0


def test_threads_share_a_layer() -> None:
    stack = _stack()
    images = [torch.randn(2, 1, n, n, dtype=torch.float64) for n in (8, 10, 12, 14, 16, 18) * 2]
    errors: list[float] = []

    def work(x: torch.Tensor) -> None:
        with torch.no_grad():
            errors.append((stack.inverse(stack(x)) - x).abs().max().item())

    threads = [threading.Thread(target=work, args=(x,)) for x in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == len(images) and max(errors) < 1e-12


def test_replicas_use_their_own_weights() -> None:
    """As DataParallel makes them: modules that share everything but their tensors."""
    layer = InvertibleConv2d(2).double()
    replica = layer._replicate_for_data_parallel()
    replica.weight = layer.weight * 2
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    for one in (layer, replica, layer):
        assert torch.allclose(one.inverse(one.forward(x)), x)
