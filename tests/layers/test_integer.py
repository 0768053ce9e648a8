"""Integers out are the integers in, to the bit, at any depth and however the images are batched,
laid out or typed.
"""

import pytest
import torch

from medinv.errors import ConfigError, ShapeError
from medinv.layers import Chain, ChannelFlip, IntegerCoupling, IntegerHaar, LeGall53


def _trained(channels: int, hidden: int, bits: int) -> IntegerCoupling:
    """A coupling with weights as large as training gives, so that its shifts are not zero."""
    layer = IntegerCoupling(channels, hidden, bits=bits)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
    return layer


def _images(n: int, channels: int, bits: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randint(
        0, 2**bits, (n, channels, 8, 8), generator=torch.Generator().manual_seed(1)
    ).to(dtype)


@pytest.mark.parametrize("dtype, bits", [(torch.float64, 16), (torch.float32, 8), (torch.int32, 8)])
def test_a_thousand_layers_give_back_every_bit(dtype, bits) -> None:
    torch.manual_seed(0)
    chain = Chain(*[layer for _ in range(1000) for layer in (_trained(4, 4, bits), ChannelFlip())])
    x = _images(2, 4, bits, dtype)
    with torch.no_grad():
        y = chain(x)
        moved = (y - x).abs().double().mean().item()
        assert torch.equal(chain.inverse(y), x) and y.dtype == dtype
    assert moved > 2**bits / 4  # it is not the identity that was inverted


def test_forwards_in_a_batch_and_backwards_one_by_one_in_another_layout_and_precision() -> None:
    torch.manual_seed(0)
    chain = Chain(*[layer for _ in range(10) for layer in (_trained(6, 16, 8), ChannelFlip())])
    x = _images(16, 6, 8, torch.float32)
    with torch.no_grad():
        y = chain(x)
        chain.double()
        for one, back in zip(x, y.double(), strict=True):
            assert torch.equal(
                chain.inverse(back[None].contiguous(memory_format=torch.channels_last))[0].float(),
                one,
            )


def test_training_computes_the_bits_of_evaluation() -> None:
    torch.manual_seed(0)
    layer = _trained(4, 8, 8)
    x = _images(4, 4, 8, torch.float64)
    with torch.no_grad():
        evaluated = layer(x)
    assert torch.equal(layer(x.clone().requires_grad_()), evaluated)


def test_integers_beyond_the_type_are_refused_not_rounded() -> None:
    torch.manual_seed(0)
    layer = _trained(2, 4, 16)
    with pytest.raises(ShapeError, match="float64"):
        layer(torch.full((1, 2, 4, 4), 2.0**24 + 2**20))


def test_images_of_too_many_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="bits"):
        IntegerCoupling(4, 4, bits=17)


@pytest.mark.parametrize(
    "dtype, bits",
    [
        (torch.float32, 16),
        (torch.float64, 24),
        (torch.int32, 16),
        (torch.int16, 12),
        (torch.int64, 16),
    ],
)
@pytest.mark.parametrize("wavelet", [LeGall53(), IntegerHaar()], ids=["legall", "haar"])
def test_five_levels_of_the_wavelet_give_back_every_bit(wavelet, dtype, bits) -> None:
    x = torch.randint(0, 2**bits, (2, 3, 64, 32), generator=torch.Generator().manual_seed(0)).to(
        dtype
    )
    levels = [x]
    for _ in range(5):
        levels.append(wavelet(levels[-1]))
    back = levels[-1]
    for _ in range(5):
        back = wavelet.inverse(back)
    assert (
        torch.equal(back, x)
        and levels[-1].dtype == dtype
        and torch.equal(levels[-1].double(), levels[-1].double().round())
    )


def test_the_wavelet_is_that_of_the_standard() -> None:
    """A row worked by hand from the lifting equations of ITU-T T.800, annex F."""
    row = [
        1,
        5,
        2,
        8,
        7,
        0,
        3,
        3,
    ]  # details: 5-floor(3/2)=4, 8-floor(9/2)=4, 0-floor(10/2)=-5, 3-floor(6/2)=0
    averages = [
        1 + (4 + 4 + 2) // 4,
        2 + (4 + 4 + 2) // 4,
        7 + (4 - 5 + 2) // 4,
        3 + (-5 + 0 + 2) // 4,
    ]
    y = LeGall53()(torch.tensor(row).expand(1, 1, 2, 8))
    assert (
        y[0, 0].tolist() == [averages]
        and y[0, 1].tolist() == [[4, 4, -5, 0]]
        and not y[0, 2:].any()
    )


def test_details_of_a_ramp_and_of_a_constant_vanish() -> None:
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    details = LeGall53()(ramp + ramp.mT)[0, 1:]
    assert (
        not details[:, :-1, :-1].any()
        and not LeGall53()(torch.full((1, 2, 8, 8), 77.0))[:, 2:].any()
    )


def test_averages_of_the_s_transform_are_means_of_blocks_to_within_rounding() -> None:
    x = torch.randint(0, 4096, (1, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    y = x
    for _ in range(3):
        y = IntegerHaar()(y[:, :1])
    error = y[:, :1].double() - torch.nn.functional.avg_pool2d(x.double(), 8)
    assert (
        error.abs().max() < 2 and error.mean().abs() < 0.2
    )  # in units of 1: roundings down and up cancel
    assert IntegerHaar()(torch.tensor([[[[1, 4], [2, 2]]]])).flatten().tolist() == [2, -2, 1, -3]


@pytest.mark.parametrize("wavelet", [LeGall53(), IntegerHaar()], ids=["legall", "haar"])
@pytest.mark.parametrize(
    "x", [torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(4, 4)]
)
def test_the_wavelet_refuses_what_it_would_lose(wavelet, x) -> None:
    with pytest.raises(ShapeError, match="expects"):
        wavelet(x)
