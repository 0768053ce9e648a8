"""Log-determinants that are taken from an image smaller than their own, and when they are not."""

import math

import pytest
import torch

from medinv.errors import SingularError
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.layers.linalg import determinant, reduction, response, symbol
from medinv.layers.linalg import padding as pads

PADDINGS = ("circular", "zeros", "reflect", "replicate")


def _layer(spread: float, kind=InvertibleConv2d, **how) -> InvertibleConv2d | InvertibleConv3d:
    torch.manual_seed(0)
    layer = kind(how.pop("channels", 2), **how).double()
    with torch.no_grad():
        layer.weight.add_(spread * torch.randn_like(layer.weight))
    return layer


def _both(value: torch.Tensor, layer) -> tuple[float, torch.Tensor]:
    return value.item(), torch.autograd.grad(value, layer.weight)[0]


def _dense(layer, size) -> tuple[float, torch.Tensor]:
    matrix = pads.matrix(layer.weight, size, layer.padding, layer.groups)
    return _both(torch.linalg.slogdet(matrix)[1], layer)


@pytest.fixture
def tried(monkeypatch) -> list[tuple[int, ...]]:
    """The sizes of the images that determinants were taken from."""
    sizes = []

    def noted(*arguments, **how):
        for size in response.smaller(*arguments, **how):
            sizes.append(size)
            yield size

    def asked(*arguments):
        sizes.append(enough(*arguments))
        return sizes[-1]

    enough = reduction.enough
    monkeypatch.setattr(determinant, "smaller", noted)
    monkeypatch.setattr(reduction, "enough", asked)
    return sizes


@pytest.mark.parametrize(
    "channels, kernel_size, size, groups",
    [(2, 3, (20, 24), 1), (2, 3, (26, 13), 2), (1, 5, (36, 36), 1), (2, 1, (9, 8), 1)],
)
@pytest.mark.parametrize("padding", PADDINGS)
def test_value_and_slope_are_those_of_the_whole_image(
    padding, channels, kernel_size, size, groups, tried
) -> None:
    how = {"channels": channels, "kernel_size": kernel_size, "padding": padding, "groups": groups}
    layer, x = (
        _layer(0.002 if kernel_size == 5 else 0.01, **how),
        torch.zeros(1, channels, *size).double(),
    )
    value, slope = _both(layer.log_det(x)[0], layer)
    dense, steep = _dense(layer, size)
    assert tried and math.prod(tried[-1]) < math.prod(size)
    assert abs(value - dense) < 1e-11 * max(1, abs(dense))
    assert (slope - steep).abs().max() < 1e-12 * steep.abs().max()
    with torch.no_grad():
        assert layer.log_det(x)[0].item() == pytest.approx(value)


def test_of_volumes_too(tried) -> None:
    layer = _layer(0.001, InvertibleConv3d)
    value, slope = _both(layer.log_det(torch.zeros(1, 2, 20, 17, 18).double())[0], layer)
    whole = determinant._Circular(layer.weight, (20, 17, 18), 1)
    dense, steep = _both(whole.log_abs_det((20, 17, 18), 0.0), layer)
    assert tried and abs(value - dense) < 1e-11
    assert (slope - steep).abs().max() < 1e-12 * steep.abs().max()


@pytest.mark.parametrize("padding", ["circular", "zeros", "replicate"])
def test_a_response_that_reaches_far_is_taken_whole(padding) -> None:
    layer = _layer(0.0, padding=padding)
    with torch.no_grad():  # each pixel and most of its left neighbour: 0.8^d at distance d
        layer.weight.zero_()
        layer.weight[[0, 1], [0, 1], 1, 1] = 1
        layer.weight[[0, 1], [0, 1], 1, 0] = -0.8
    value, slope = _both(layer.log_det(torch.zeros(1, 2, 22, 24).double())[0], layer)
    dense, steep = _dense(layer, (22, 24))
    assert abs(value - dense) < 1e-11 and (slope - steep).abs().max() < 1e-10


def test_a_response_in_one_direction_and_in_steps_is_seen(tried) -> None:
    layer = InvertibleConv2d(8).double()
    with torch.no_grad():  # a channel shifts into the next: log |det| knows only cycles of eight
        layer.weight.zero_()
        channels = torch.arange(8)
        layer.weight[channels, channels, 1, 1] = 1
        layer.weight[channels, channels.roll(1), 1, 0] = 0.6
    value = layer.log_det(torch.zeros(1, 8, 6, 24).double())[0].item()
    # three cycles around, eight starts and six lines: circulants of 24 in each
    assert value == pytest.approx(_dense(layer, (6, 24))[0], abs=1e-11)
    assert abs(value) > 1e-5


def test_kernels_mapped_over_keep_their_own_size(tried) -> None:
    layer = _layer(0.01)
    kernels = layer.weight.detach() + torch.tensor([0.0, 0.01]).double()[:, None, None, None, None]

    def one(weight: torch.Tensor) -> torch.Tensor:
        return determinant.log_abs_det(weight, (24, 24), "circular")

    assert torch.allclose(torch.func.vmap(one)(kernels), torch.stack([one(k) for k in kernels]))
    slopes = torch.func.vmap(torch.func.grad(one))(kernels)
    assert torch.allclose(slopes[1], torch.func.grad(one)(kernels[1]))


def test_a_wave_lost_on_the_image_is_said_and_one_lost_elsewhere_is_not() -> None:
    layer = InvertibleConv2d(1).double()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 1, 1] = 1
        layer.weight[0, 0, 1, 0] = -1  # loses constants
    with pytest.raises(SingularError):
        layer.log_det(torch.zeros(1, 1, 30, 34).double())
    with torch.no_grad():
        layer.weight[0, 0, 1, 0] = 1  # loses half a cycle a pixel, which odd sides do not have
    found = layer.log_det(torch.zeros(1, 1, 30, 33).double())[0].item()
    assert found == pytest.approx(30 * math.log(2))


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_large_image_costs_what_a_small_one_does(padding, tried) -> None:
    layer = _layer(0.01, padding=padding)
    value = layer.log_det(torch.zeros(1, 2, 1000, 800).double())[0].item()
    sizes = [(60, 50), (61, 50), (60, 51), (61, 51)]
    with torch.no_grad():
        four = [layer.log_det(torch.zeros(1, 2, *s).double())[0].item() for s in sizes]
    both = four[3] - four[2] - four[1] + four[0]
    down, across = four[1] - four[0], four[2] - four[0]
    told = four[0] + 940 * down + 750 * across + 940 * 750 * both
    assert max(math.prod(size) for size in tried) < 1500
    assert value == pytest.approx(told, rel=1e-6)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_without_derivatives_it_is_computed_once_for_the_same_weights(padding, monkeypatch) -> None:
    layer = InvertibleConv2d(4, padding=padding)
    x, made = torch.randn(2, 4, 12, 10), []
    whole = determinant.log_abs_det
    monkeypatch.setattr(determinant, "log_abs_det", lambda *a: made.append(a) or whole(*a))
    with torch.inference_mode():
        first, again = layer.log_det(x), layer.log_det(x)
        other = layer.log_det(x[..., :-1])
    assert len(made) == 2 and torch.equal(first, again) and not torch.equal(first, other)
    with torch.no_grad():
        layer.weight.mul_(2)
        doubled = layer.log_det(x)
    assert torch.allclose(doubled, first + 4 * 120 * math.log(2)) and len(made) == 3
    (doubled * layer.weight.sum()).sum().backward()  # kept ones are no inference tensors
    layer.log_det(x).sum().backward()
    assert len(made) == 4 and layer.weight.grad is not None


@pytest.mark.parametrize("padding", PADDINGS[1:])
def test_float32_is_right_to_its_digits(padding, tried) -> None:
    layer = _layer(0.01, padding=padding, channels=4)
    x = torch.zeros(1, 4, 24, 28).double()
    value, slope = _both(layer.log_det(x)[0], layer)
    single = layer.float()
    near, flat = _both(single.log_det(x.float())[0], single)
    assert abs(near - value) < 1e-6 * x.numel()
    assert (flat - slope).abs().max() < 1e-5 * slope.abs().max()


@pytest.mark.parametrize("padding", PADDINGS[1:])
def test_an_edge_along_which_waves_go_far_is_not_cut(padding) -> None:
    layer = InvertibleConv2d(1, padding=padding).double()
    with torch.no_grad():  # what a column tells the next comes back: felt 20 pixels away
        layer.weight.zero_()
        layer.weight[0, 0, 1] = torch.tensor([-0.45, 1.0, -0.45])
        layer.weight[0, 0, 0, 1] = 0.01
    value, slope = _both(layer.log_det(torch.zeros(1, 1, 22, 24).double())[0], layer)
    dense, steep = _dense(layer, (22, 24))
    assert abs(value - dense) < 1e-10 and (slope - steep).abs().max() < 1e-9 * steep.abs().max()


@pytest.mark.parametrize("padding", PADDINGS[1:])
def test_derivatives_of_both_orders_from_small_images(padding, tried) -> None:
    weight = _layer(0.01, padding=padding).weight.detach().requires_grad_()

    def value(kernel: torch.Tensor) -> torch.Tensor:
        return determinant.log_abs_det(kernel, (14, 13), padding)

    assert torch.autograd.gradcheck(value, weight, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(value, weight)
    slope = torch.autograd.grad(value(weight), weight)[0]
    assert torch.allclose(torch.func.jacrev(value)(weight), slope)
    assert math.prod(tried[-1]) < 100


def test_products_alone_give_what_factors_give() -> None:
    torch.manual_seed(0)
    for c in (1, 3, 16):
        matrices = torch.randn(5, 4, c, c, dtype=torch.complex128)
        matrices[0] = torch.eye(c).flip(0)  # which elimination without pivots cannot begin with
        inverse, logs = symbol.by_elimination(matrices)
        assert torch.allclose(inverse @ matrices, torch.eye(c).to(matrices), atol=1e-10)
        assert torch.allclose(logs, torch.linalg.slogdet(matrices)[1], atol=1e-10)


def test_a_determinant_chosen_by_no_value_is_the_same() -> None:
    layer, size = _layer(0.1, padding="circular"), (24, 20)
    value, slope = _both(layer.log_det(torch.zeros(1, 2, *size))[0], layer)
    with symbol.unseen():
        other, also = _both(layer.log_det(torch.zeros(1, 2, *size))[0], layer)
    assert other == pytest.approx(value, rel=1e-10) and torch.allclose(slope, also, atol=1e-8)
