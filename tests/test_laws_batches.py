"""What an image does not feel: its neighbours, an empty batch, 16 bits, a copy of the layer."""

import copy
import math
import pickle

import pytest
import torch
from laws import MAKERS, SHAPES, WIDENING, perturbed

from medinv.errors import MedinvError
from medinv.layers import ActNorm, AffineCoupling, InvertibleBatchNorm, InvertibleConv2d

EVERY = MAKERS | WIDENING


def _made(name: str, dtype: torch.dtype = torch.float64):
    torch.manual_seed(0)
    layer = perturbed(EVERY[name](2)).to(dtype)
    shape = SHAPES.get(name, (3, 2, 8, 4))
    x = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(1), dtype=dtype)
    return layer, x


def _images(result: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return result.view(like.shape)


@pytest.mark.parametrize("neighbour", [1e4, 1e12, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_an_image_alone_and_in_any_batch_is_the_same(name, dtype, neighbour) -> None:
    """To 8 units of the last place of its largest value, the bit that the documentation names."""
    if name == "integer-coupling" and neighbour == 1e12:
        pytest.skip("integers so large are refused")
    layer, x = _made(name, dtype)
    y = layer(x).detach()
    for function, values in ((layer.forward, x), (layer.inverse, y), (layer.log_det, x)):
        alone = function(values[1:2]).detach()
        crowd = values.clone()
        crowd[[0, 2]] = crowd[[0, 2]] * neighbour if math.isfinite(neighbour) else neighbour
        with torch.no_grad():
            amid = function(crowd)[1:2]
        unit = torch.finfo(dtype).eps * max(1.0, alone.abs().max().item())
        assert (amid - alone).abs().max() <= 8 * unit


@pytest.mark.parametrize("channels, size", [(12, 16), (33, 12)])
@pytest.mark.parametrize("padding", ["circular", "zeros", "reflect", "replicate"])
def test_no_neighbour_is_felt_at_real_sizes(padding, channels, size) -> None:
    torch.manual_seed(0)
    layer = InvertibleConv2d(channels, padding=padding)
    x = torch.randint(0, 256, (4, channels, size, size)).float()
    with torch.no_grad():
        y = layer(x)
        alone = layer.inverse(y[2:3])
        crowd = y.clone()
        crowd[0] *= 1e4
        crowd[1], crowd[3] = math.nan, math.inf
        amid = layer.inverse(crowd)
    assert (amid[2:3] - alone).abs().max() <= 256 * 8 * torch.finfo(torch.float32).eps
    assert amid[1].isnan().all() and not amid[2].isnan().any()


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_batch_is_an_empty_batch(name) -> None:
    layer, x = _made(name)
    y = layer(x[:0])
    assert y.shape[0] == 0 and y.shape[1:] == layer(x).shape[1:]
    assert layer.inverse(y).shape == x[:0].shape and layer.log_det(x[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_sixteen_bits_are_right_to_sixteen_bits_or_refused(name, dtype) -> None:
    layer, x = _made(name, torch.float32)
    expected = layer.log_det(x)
    try:
        half = layer.to(dtype)
        back = half.inverse(half(x.to(dtype)))
        found = half.log_det(x.to(dtype))
    except MedinvError:
        return
    assert (back.float() - x).abs().max() < 100 * torch.finfo(dtype).eps
    scale = 1 + x[0].numel() * 4
    assert (found.float() - expected).abs().max() < scale * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_log_det_under_autocast_is_summed_in_float32_at_least(name, dtype) -> None:
    layer, x = _made(name, torch.float32)
    with torch.no_grad(), torch.autocast("cpu", dtype):
        found = layer.log_det(x)
        assert found.dtype == torch.float32
    expected = layer.log_det(x)
    assert (found - expected).abs().max() < 4 * torch.finfo(dtype).eps * x[0].numel()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_large_log_det_does_not_overflow_under_autocast(dtype) -> None:
    torch.manual_seed(0)
    layer = AffineCoupling(12, 8, clamp=2.0)
    torch.nn.init.constant_(layer.net[-1].bias, 5.0)
    x = torch.randn(1, 12, 224, 224)
    with torch.no_grad():
        expected = layer.log_det(x)
        with torch.autocast("cpu", dtype):
            found = layer.log_det(x)
    assert expected.item() > 2**16 and found.item() == pytest.approx(expected.item(), rel=1e-2)


@pytest.mark.parametrize("name", EVERY)
def test_copies_and_pickles_carry_weights_alone(name) -> None:
    layer, x = _made(name)
    before = len(pickle.dumps(layer)) if name != "template" else 0
    y = layer(x).detach()
    with torch.no_grad():
        layer.inverse(y)
    if name != "template":  # its class stands in a docstring, where pickle does not find it
        stored = pickle.dumps(layer)
        assert len(stored) <= before + 2000
        assert torch.allclose(pickle.loads(stored).inverse(y), x, atol=1e-11)
    assert torch.allclose(copy.deepcopy(layer).inverse(y), x, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (0, 2, 4, 4)])
def test_statistics_of_one_value_are_refused(shape) -> None:
    for call in (ActNorm(2).initialise, InvertibleBatchNorm(2)):
        with pytest.raises(MedinvError, match="at least two values a channel"):
            call(torch.zeros(shape))
