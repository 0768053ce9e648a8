"""The verdict on a round trip."""

import pytest
import torch

from medinv.errors import ShapeError
from medinv.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ChannelFlip,
    FrozenNorm,
    IntegerCoupling,
    InvertibleBatchNorm,
    InvertibleConv2d,
    LeakyReLU,
    LeGall53,
    SmoothLeakyReLU,
    certify,
    round_trip,
)


def _images(bits: int) -> torch.Tensor:
    return torch.randint(
        0, 2**bits, (4, 2, 8, 8), generator=torch.Generator().manual_seed(0)
    ).double()


def test_twenty_well_conditioned_convolutions_are_exact_at_sixteen_bits() -> None:
    torch.manual_seed(0)
    chain = Chain(
        *[layer for _ in range(20) for layer in (InvertibleConv2d(2), LeakyReLU(0.7))]
    ).double()
    result = round_trip(chain, _images(16), bits=16)
    assert result.all_exact and result.max_abs_error < 1e-6 and result.dtype == "float64"


def test_a_lossy_layer_is_found_out_and_named() -> None:
    chain = Chain(LeakyReLU(0.9), ActNorm(2), LeakyReLU(0.9)).double()
    with torch.no_grad():
        chain.layers[1].bias.fill_(1e16)  # additions to 1e16 lose the units
    result = round_trip(chain, _images(8))
    assert not result.all_exact and result.worst_layer == "1 ActNorm"
    assert not result.exact.any() and result.max_abs_error >= 0.5


def test_exactness_is_told_image_by_image() -> None:
    images = _images(8)
    images[2] += 0.25  # not an integer: rounding cannot give it back
    assert round_trip(Chain(LeakyReLU(1.0)), images).exact.tolist() == [True, True, False, True]


BLOCKS = {
    "slope 0.5": lambda: (InvertibleConv2d(4), InvertibleBatchNorm(4), LeakyReLU(0.5)),
    "slope 0.3": lambda: (InvertibleConv2d(4), InvertibleBatchNorm(4), LeakyReLU(0.3)),
    "smooth": lambda: (InvertibleConv2d(4), InvertibleBatchNorm(4), SmoothLeakyReLU(0.5)),
    "affine": lambda: (ActNorm(4), AffineCoupling(4, 8), InvertibleConv2d(4, kernel_size=1)),
    "additive": lambda: (AdditiveCoupling(4, 8), ChannelFlip()),
}


def _network(block: str, depth: int, x: torch.Tensor, bits: int) -> Chain:
    """A network in evaluation, its statistics those of the images, its couplings no identities."""
    torch.manual_seed(0)
    half = 2.0 ** (bits - 1)
    chain = Chain(
        FrozenNorm([half] * 4, [half / 2] * 4),
        *[layer for _ in range(depth) for layer in BLOCKS[block]()],
    ).to(x.dtype)
    with torch.no_grad():
        for name, parameter in chain.named_parameters():
            parameter.add_((0.1 if "net" in name else 0.0) * torch.randn_like(parameter))
        chain.initialise(x)
    for layer in chain:
        if isinstance(layer, InvertibleBatchNorm):
            layer.running_mean.copy_(layer.batch_mean)
            layer.running_var.copy_(layer.batch_var)
    return chain.eval()


def _four(bits: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randint(0, 2**bits, (4, 4, 16, 16), generator=torch.Generator().manual_seed(0)).to(
        dtype
    )


@pytest.mark.parametrize("dtype, bits", [(torch.float32, 8), (torch.float64, 16)])
@pytest.mark.parametrize("depth", [5, 20])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_prediction_is_within_a_factor_of_ten_of_the_measurement_and_under_the_bound(
    block, depth, dtype, bits
) -> None:
    x = _four(bits, dtype)
    certificate = certify(_network(block, depth, x, bits), x, bits)
    ratio = certificate.predicted_error / certificate.measured_error
    assert ((ratio > 0.1) & (ratio < 10)).all(), ratio
    assert (certificate.measured_error <= certificate.error_bound).all()
    assert (
        not (certificate.predicted_exact & ~certificate.exact).any()
        and not (certificate.promised & ~certificate.exact).any()
    )
    assert 1 <= certificate.amplification <= certificate.amplification_bound


def test_a_network_that_loses_the_image_is_predicted_to() -> None:
    x = _four(8, torch.float32)
    certificate = certify(_network("slope 0.3", 20, x, 8), x, 8)
    assert not certificate.predicted_exact.any() and not certificate.all_exact
    assert certify(_network("slope 0.3", 20, x.double(), 8), x.double(), 8).promised.all()


def test_the_amplification_is_that_of_an_error_put_into_the_output() -> None:
    x = _four(16, torch.float64)
    network = _network("slope 0.5", 10, x, 16)
    y = network(x)
    error = 1e-4 * torch.randn(
        y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5)
    )
    measured = (network.inverse(y + error) - x).norm() / error.norm()
    assert certify(network, x, 16).amplification == pytest.approx(measured.item(), rel=0.3)


def test_the_layer_that_costs_most_is_named() -> None:
    x = _four(8, torch.float64)
    network = _network("additive", 5, x, 8)
    network.layers.insert(6, ActNorm(4).double())
    with torch.no_grad():
        network.layers[6].bias.fill_(1e9)
    network.layers.insert(7, ActNorm(4).double())
    with torch.no_grad():
        network.layers[7].bias.fill_(-1e9)
    certificate = certify(network, x, 8)
    assert (
        certificate.worst_layer == "6 ActNorm"
        and certificate.layers[6].error > 1e4 * certificate.layers[2].error
    )


def test_integer_layers_are_certified_without_error() -> None:
    x = _four(8, torch.float32)
    certificate = certify(Chain(LeGall53(), IntegerCoupling(16, 4), ChannelFlip()), x, 8)
    assert certificate.promised.all() and certificate.all_exact
    assert (
        not certificate.error_bound.any()
        and not certificate.predicted_error.any()
        and not certificate.measured_error.any()
    )


@pytest.mark.parametrize(
    "x",
    [torch.full((1, 2, 4, 4), value) for value in (0.5, 256.0, -1.0)]
    + [torch.zeros(1, 2, 4, 4).int()],
)
def test_only_integers_of_so_many_bits_are_certified(x) -> None:
    with pytest.raises(ShapeError, match="0 to 255"):
        certify(ActNorm(2), x, 8)
