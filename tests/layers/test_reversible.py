"""Gradients from recomputed activations against autograd's from stored ones, and what is stored."""

import copy

import pytest
import torch

from medinv.errors import ConfigError
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Bypass,
    Chain,
    ChannelFlip,
    ChannelPadding,
    InvertibleBatchNorm,
    InvertibleConv2d,
    Reversible,
    SmoothLeakyReLU,
    Squeeze,
)
from medinv.layers.reversible import recomputed

BLOCKS = {
    "additive": lambda: (AdditiveCoupling(4, 8), ChannelFlip()),
    "affine": lambda: (ActNorm(4), AffineCoupling(4, 8), ChannelFlip()),
    "convolution": lambda: (InvertibleConv2d(4), SmoothLeakyReLU(0.8)),
    "steep": lambda: (InvertibleConv2d(4), ActNorm(4), SmoothLeakyReLU(0.2)),
}


def _pair(block: str, depth: int, **options: int) -> tuple[Chain, Reversible]:
    torch.manual_seed(0)
    chain = Chain(*[layer for _ in range(depth) for layer in BLOCKS[block]()])
    with torch.no_grad():
        for name, parameter in chain.named_parameters():
            parameter.add_((0.06 if "net" in name else 0.005) * torch.randn_like(parameter))
    return chain, Reversible(*copy.deepcopy(chain), **options)


def _gradients(layer, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    y, log_det = layer.call_and_log_det(x)
    return list(
        torch.autograd.grad(
            (y.square().mean() + y.sin().mean() - 1e-3 * log_det.mean()), (x, *layer.parameters())
        )
    )


def _relative(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """Largest difference over all gradients, over the largest gradient of the same tensor."""
    return max(
        ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item()
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("block", ["additive", "affine", "convolution"])
def test_gradients_through_a_hundred_blocks_are_those_of_autograd(block, dtype, tolerance) -> None:
    chain, reversible = (layer.to(dtype) for layer in _pair(block, 100))
    x = torch.randn(4, 4, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(1))
    assert _relative(_gradients(reversible, x), _gradients(chain, x)) < tolerance


def test_anchors_bound_the_drift() -> None:
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    chain, _ = _pair("steep", 40)
    chain.initialise(x)
    free, anchored = Reversible(*chain), Reversible(*chain, anchor_every=12)
    reference = _gradients(chain, x)
    assert (
        _relative(_gradients(anchored, x), reference)
        < 1e-3
        < 1e-2
        < _relative(_gradients(free, x), reference)
    )


def _stored(layer) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights not counted."""
    sizes = {}
    weights = {parameter.data_ptr() for parameter in layer.parameters()}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.data_ptr() not in weights:
            sizes[t.data_ptr()] = t.untyped_storage().nbytes()
        return t

    x = torch.randn(4, 4, 16, 16).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = layer(x)
    assert y.requires_grad
    return sum(sizes.values())


def test_what_is_stored_does_not_grow_with_depth() -> None:
    shallow, deep = (_stored(_pair("additive", depth)[1]) for depth in (5, 50))
    plain = _stored(_pair("additive", 50)[0])
    assert shallow == deep and plain > 100 * deep
    assert _stored(_pair("additive", 50, anchor_every=20)[1]) <= 7 * deep


def test_factors_of_the_inverse_do_not_pile_up() -> None:
    reversible = _pair("convolution", 5)[1]
    reversible(torch.randn(2, 4, 8, 8)).sum().backward()
    assert not any(
        layer._factors for layer in reversible.layers if isinstance(layer, InvertibleConv2d)
    )
    chain = Chain(reversible)
    chain.inverse(torch.randn(2, 4, 8, 8))
    assert all(layer._factors for layer in reversible.layers if isinstance(layer, InvertibleConv2d))
    chain.forget()
    assert not any(
        layer._factors for layer in reversible.layers if isinstance(layer, InvertibleConv2d)
    )


def test_statistics_move_once_a_step_and_backward_uses_those_of_its_own_batch() -> None:
    torch.manual_seed(0)
    layers = [
        layer
        for _ in range(5)
        for layer in (InvertibleConv2d(4), InvertibleBatchNorm(4), SmoothLeakyReLU(0.8))
    ]
    chain = Chain(Squeeze(1), *layers).double()
    reversible = Reversible(*copy.deepcopy(chain))
    x = torch.randn(2, 4, 4, 6, 6, dtype=torch.float64)
    theirs = sum(_total(chain, batch) for batch in x)
    theirs_grads = torch.autograd.grad(theirs, list(chain.parameters()))
    ours_grads = torch.autograd.grad(
        sum(_total(reversible, batch) for batch in x), list(reversible.parameters())
    )
    assert all(
        torch.allclose(a, b, atol=1e-10) for a, b in zip(ours_grads, theirs_grads, strict=True)
    )
    assert all(
        torch.equal(value, chain.state_dict()[name])
        for name, value in reversible.state_dict().items()
    )


def _total(layer, x: torch.Tensor) -> torch.Tensor:
    return layer(x).pow(3).mean()


def test_layers_that_widen_are_refused() -> None:
    with pytest.raises(ConfigError, match="widens"):
        Reversible(ChannelPadding(2, 2))


def test_recomputing_reaches_every_chain_within_and_stores_no_more_than_their_ends() -> None:
    """Levels, what goes around them and what widens: gradients, keys and what is kept."""
    torch.manual_seed(0)

    def block() -> list:
        return [InvertibleConv2d(8), InvertibleBatchNorm(8), SmoothLeakyReLU(0.7)]

    blocks = [layer for _ in range(4) for layer in block()]
    inner = Chain(*[layer for _ in range(4) for layer in block()])
    chain = Chain(ChannelPadding(2, 6), *blocks, Squeeze(2), Bypass(32, 8, inner, 0)).double()
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    again = recomputed(copy.deepcopy(chain))
    assert again.state_dict().keys() == chain.state_dict().keys()

    def run(network) -> tuple[list[torch.Tensor], int]:
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: (kept.append(t.numel()), t)[1], lambda t: t
        ):
            y = network(x)
        return list(torch.autograd.grad(y.sin().mean(), list(network.parameters()))), sum(kept)

    (theirs, stored), (ours, few) = run(chain), run(again)
    assert _relative(ours, theirs) < 1e-10 and few < stored / 3
    for name, buffer in chain.named_buffers():
        if buffer is not None and "running" in name:
            assert torch.allclose(dict(again.named_buffers())[name], buffer)
    assert torch.allclose(again.inverse(again(x)), x)
