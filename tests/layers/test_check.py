"""The verdict on a round trip."""

import torch

from medinv.layers import ActNorm, Chain, InvertibleConv2d, LeakyReLU, round_trip


def _images(bits: int) -> torch.Tensor:
    return torch.randint(0, 2**bits, (4, 2, 8, 8), generator=torch.Generator().manual_seed(0)).double()


def test_twenty_well_conditioned_convolutions_are_exact_at_sixteen_bits() -> None:
    torch.manual_seed(0)
    chain = Chain(*[layer for _ in range(20) for layer in (InvertibleConv2d(2), LeakyReLU(0.7))]).double()
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
