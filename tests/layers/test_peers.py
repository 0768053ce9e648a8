"""What packages of invertible layers test of their own (FrEIA, normflows, nflows, memcnn, zuko), as
laws of these: couplings, Haar, reversible gradients, extreme values.
"""

import copy

import pytest
import torch

from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ChannelFlip,
    Haar,
    Inverse,
    InvertibleConv2d,
    LeakyReLU,
    Reversible,
)

COUPLINGS = {"additive": AdditiveCoupling, "affine": AffineCoupling}


def _stirred(layer, by: float = 0.1):
    torch.manual_seed(0)
    layer = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return layer.double()


@pytest.mark.parametrize("kind", COUPLINGS)
def test_a_coupling_passes_one_half_on_and_starts_as_the_identity(kind) -> None:
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    coupling = COUPLINGS[kind](4, 8).double()
    assert torch.allclose(coupling(x), x) and torch.allclose(coupling.log_det(x), x.new_zeros(2))
    stirred = _stirred(coupling)
    changed = (stirred(x) - x).abs().amax((0, 2, 3)) > 1e-12
    assert changed.sum() == 2, "two of four channels"
    other = x.clone()
    other[:, changed] = 0
    assert torch.equal(stirred(other)[:, ~changed], x[:, ~changed])


@pytest.mark.parametrize("kind", COUPLINGS)
def test_the_volume_of_the_inverse_undoes_that_of_the_layer(kind) -> None:
    coupling = _stirred(COUPLINGS[kind](4, 8))
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    back = Inverse(coupling).log_det(coupling(x))
    assert torch.allclose(coupling.log_det(x) + back, x.new_zeros(3), atol=1e-12)
    assert kind == "additive" or coupling.log_det(x).abs().min() > 1e-3


def test_haar_keeps_energy_and_gives_a_constant_to_one_band_alone() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    haar = Haar().double()
    assert torch.allclose(haar(x).square().sum((1, 2, 3)), x.square().sum((1, 2, 3)))
    bands = haar(torch.ones(1, 1, 4, 4, dtype=torch.float64)).abs().amax((0, 2, 3))
    assert (bands > 1e-12).sum() == 1 and torch.allclose(bands.max(), bands.new_tensor(2.0))
    unit = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    unit[..., 1, 2] = 1
    assert torch.allclose(haar(unit).abs(), (haar(unit) != 0).double() / 2), (
        "orthonormal: half each"
    )


def test_steps_with_recomputed_activations_end_at_the_same_weights() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(3) for layer in (AdditiveCoupling(4, 8), ChannelFlip())]
    stored = _stirred(Chain(*layers))
    recomputed = Reversible(*copy.deepcopy(layers)).double()
    recomputed.load_state_dict(stored.state_dict())
    x = torch.randn(4, 4, 6, 6, dtype=torch.float64)
    for model in (stored, recomputed):
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        for _ in range(5):
            optimiser.zero_grad()
            model(x).pow(4).mean().backward()
            optimiser.step()
    for one, other in zip(stored.parameters(), recomputed.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
@pytest.mark.parametrize(
    "layer",
    [
        InvertibleConv2d(4),
        InvertibleConv2d(4, padding="zeros"),
        InvertibleConv2d(4, padding="reflect"),
        LeakyReLU(0.3),
        ActNorm(4),
        Haar(),
    ],
    ids=lambda layer: repr(layer)[:60],
)
def test_values_of_extreme_size_come_back_with_the_same_relative_error(layer, scale) -> None:
    x = scale * torch.randn(2, 4, 6, 6, dtype=torch.float64)
    stirred = _stirred(layer, 0.03)
    back = stirred.inverse(stirred(x)).detach()
    offset = 1e-15 * isinstance(layer, ActNorm)  # its shift is of the size of one
    assert (back - x).abs().max() < 1e-12 * scale + offset


def test_an_affine_coupling_holds_far_outside_of_what_it_was_made_for() -> None:
    coupling = _stirred(AffineCoupling(4, 8))
    for scale in (1e3, 1e6):
        x = scale * torch.randn(2, 4, 6, 6, dtype=torch.float64)
        y = coupling(x)
        assert y.isfinite().all() and coupling.log_det(x).isfinite().all()
        assert (coupling.inverse(y) - x).abs().max() < 1e-12 * scale
