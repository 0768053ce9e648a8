"""The plain copy of a network runs backwards as the network does, in real products alone."""

import pytest
import torch
from torch import Tensor, nn

from medinv.layers import (
    Chain,
    FrozenNorm,
    Haar,
    InjectiveConv2d,
    InvertibleConv2d,
    InvertibleConv3d,
    bound_condition,
)
from medinv.layers.plain import DENSE, plain

CASES = {
    "even": (lambda: InvertibleConv2d(4, bias=True), (4, 8, 6)),
    "odd": (lambda: InvertibleConv2d(3, 5), (3, 7, 9)),
    "one pixel a side": (lambda: InvertibleConv2d(2, 1), (2, 1, 4)),
    "large": (lambda: InvertibleConv2d(2), (2, 66, 20)),
    "groups": (lambda: InvertibleConv2d(6, groups=3), (6, 6, 5)),
    "volumes": (lambda: InvertibleConv3d(2), (2, 4, 6, 5)),
    "wider": (lambda: InjectiveConv2d(3, 2, bias=True), (3, 6, 7)),
    "zeros": (lambda: InvertibleConv2d(4, padding="zeros", groups=2), (4, 8, 6)),
    "reflect": (lambda: InvertibleConv2d(2, padding="reflect", bias=True), (2, 6, 5)),
    "volume, zeros": (lambda: InvertibleConv3d(2, padding="zeros"), (2, 3, 4, 5)),
    "bounded": (lambda: bound_condition(InvertibleConv2d(3), 4.0), (3, 6, 6)),
    "chain": (
        lambda: Chain(FrozenNorm([9.0], [3.0]), Haar(), InvertibleConv2d(4), Haar()),
        (1, 8, 12),
    ),
}


def made(case: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    build, shape = CASES[case]
    layer = build().double()
    for name, parameter in layer.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return layer, torch.randn(3, *shape, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_it_solves_what_the_layer_solves(case: str) -> None:
    layer, x = made(case)
    copy, kept = plain(layer, x[:1])
    y = layer(x)
    assert kept == () and torch.equal(copy(x), y)
    assert torch.allclose(copy.inverse(y), x, atol=1e-10)
    off = y + torch.randn_like(y)  # no image of a widening layer: the least-squares answer
    assert torch.allclose(copy.inverse(off), layer.inverse(off), atol=1e-9)


@pytest.mark.parametrize("case", ["even", "odd", "volumes", "wider", "zeros", "chain"])
def test_its_program_needs_no_operator_of_ours_and_no_complex_numbers(case: str) -> None:
    layer, x = made(case)
    copy, _ = plain(layer, x[:1])

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.copy = copy

        def forward(self, y: Tensor) -> Tensor:
            return self.copy.inverse(y)

    y = layer(x).detach()
    with torch.no_grad():
        batch = torch.export.Dim("batch", min=1, max=1024)
        program = torch.export.export(Backwards(), (y,), dynamic_shapes=({0: batch},))
    values = [node.meta["val"] for node in program.graph.nodes if "val" in node.meta]
    assert not any(value.is_complex() for value in values if isinstance(value, Tensor))
    assert not any("medinv" in str(node.target) for node in program.graph.nodes)
    assert torch.allclose(program.module()(y[:1]), x[:1], atol=1e-10)


def test_log_determinants_are_constants() -> None:
    layer, x = made("chain")
    copy, _ = plain(layer, x[:1])
    assert torch.allclose(copy.log_det(x), layer.log_det(x))
    assert layer.layers[2].log_det.__self__ is layer.layers[2]  # the network itself is as it was


def test_large_padded_convolutions_are_named() -> None:
    layer = Chain(InvertibleConv2d(1, padding="zeros"), Haar(), InvertibleConv2d(4)).double()
    x = torch.randn(1, 1, 66, 64, dtype=torch.float64)
    assert x[0].numel() > DENSE
    copy, kept = plain(layer, x)
    assert kept == ("layers.0",)
    assert torch.allclose(copy.inverse(layer(x)), x, atol=1e-9)
