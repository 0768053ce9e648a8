"""Convolutions as ordinary networks have them: other paddings, groups, larger kernels and volumes,
against the dense matrix of the same operator.
"""

import math
from itertools import product

import pytest
import torch
from torch import nn

from medinv.errors import ConfigError, ConvergenceError, ShapeError, SingularError
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.layers.linalg import solve
from medinv.layers.linalg.bordered import Bordered
from medinv.layers.linalg.small_border import SmallBorder
from medinv.layers.linalg.spectrum import extreme_singular_values, null_directions

PADDINGS = ("circular", "zeros", "reflect", "replicate")
GEOMETRIES = [(1, (5, 4)), (3, (7, 6)), (5, (6, 9)), (3, (3, 3)), (3, (4, 3, 5)), (5, (5, 4, 3))]


def _read(i: int, n: int, padding: str) -> int | None:
    """Which pixel stands for position i of a line of n, written as the words say it."""
    if 0 <= i < n:
        return i
    if padding == "zeros":
        return None
    if padding == "replicate":
        return 0 if i < 0 else n - 1
    return i % n if padding == "circular" else (-i if i < 0 else 2 * n - 2 - i)


def _dense(layer, size) -> torch.Tensor:
    """The matrix built tap by tap: no Fourier transform, no padding by torch and no call of the
    layer.
    """
    c, k, width = layer.channels, layer.kernel_size, layer.channels // layer.groups
    matrix = torch.zeros(c, *size, c, *size, dtype=torch.float64)
    weight = layer.weight.detach()
    for place in product(*map(range, size)):
        for tap in product(range(k), repeat=len(size)):
            read = tuple(
                _read(p + t - k // 2, n, layer.padding)
                for p, t, n in zip(place, tap, size, strict=True)
            )
            if None in read:
                continue
            for o in range(c):
                first = o // width * width
                matrix[(o, *place)][(slice(first, first + width), *read)] += weight[
                    (o, slice(None), *tap)
                ]
    return matrix.reshape(c * math.prod(size), -1)


def _layer(
    kernel_size: int, size, padding: str, groups: int
) -> InvertibleConv2d | InvertibleConv3d:
    torch.manual_seed(0)
    kind = InvertibleConv2d if len(size) == 2 else InvertibleConv3d
    layer = kind(4, kernel_size, bias=True, padding=padding, groups=groups).double()
    with torch.no_grad():
        layer.weight.add_(0.4 / kernel_size ** len(size) * torch.randn_like(layer.weight))
        layer.bias.normal_()
    return layer


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel_size, size", GEOMETRIES)
def test_forward_inverse_and_spectrum_equal_the_dense_matrix(
    kernel_size, size, padding, groups
) -> None:
    if padding == "reflect" and kernel_size // 2 >= min(size):
        pytest.skip("reflection needs a larger image")
    layer = _layer(kernel_size, size, padding, groups)
    dense = _dense(layer, size)
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    y = layer(x)
    bias = layer.bias.detach().reshape(-1, *[1] * len(size))
    assert torch.allclose((y - bias).flatten(1), x.flatten(1) @ dense.T, atol=1e-13)
    other = torch.randn_like(y)
    solved = torch.linalg.solve(dense, (other - bias).flatten(1).T).T.reshape(x.shape)
    condition = torch.linalg.cond(dense).item()
    with torch.no_grad():
        assert (layer.inverse(other) - solved).abs().max() < 1e-14 * condition
        assert (
            layer.inverse(other[:1]) - solved[:1]
        ).abs().max() < 1e-14 * condition  # an odd batch takes another road
        assert (layer.inverse(y) - x).abs().max() < 1e-14 * condition
    assert layer.log_det(x)[0].item() == pytest.approx(
        torch.linalg.slogdet(dense)[1].item(), abs=1e-10
    )
    assert layer.condition_number(x)[0].item() == pytest.approx(condition, rel=1e-9)


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_inverse_is_differentiable_in_output_and_weights(padding) -> None:
    layer = _layer(3, (4, 3), padding, 2)
    y = torch.randn(1, 4, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v, *_: layer.inverse(v), (y, *layer.parameters()), eps=1e-6, atol=1e-6
    )


def _solver(layer, size) -> solve.Solver:
    return layer._factors.solver(layer.weight, size, layer.padding, layer.groups)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_what_is_too_large_for_a_direct_solve_comes_back_as_exactly(padding, monkeypatch) -> None:
    layer = _layer(3, (6, 5, 4), padding, 1)
    x = torch.randint(0, 256, (3, 4, 6, 5, 4)).double()
    y = layer(x).detach()
    direct = layer.inverse(y)
    monkeypatch.setattr(solve, "DIRECT", 10)
    layer.forget()
    iterated = layer.inverse(y)
    assert _solver(layer, (6, 5, 4)).iterated
    assert (direct - x).abs().max() < 1e-11 and (iterated - x).abs().max() < 1e-11


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
def test_a_crossing_cut_short_is_made_up_for(padding, monkeypatch) -> None:
    layer = _layer(3, (22, 18), padding, 1)
    for most in ("CROSSING", "WIDE"):
        monkeypatch.setattr(solve, most, 30)
    x = torch.randint(0, 256, (3, 4, 22, 18)).double()
    condition = layer.condition_number(x)[0].item()
    assert (layer.inverse(layer(x)) - x).abs().max() < 256 * 1e-14 * condition
    single = layer.float()
    assert (single.inverse(single(x.float())) - x).abs().max() < 1e-2
    solver = _solver(single, (22, 18))
    assert not solver.single and (solver.iterated or solver.corrections)


@pytest.mark.parametrize("dtype, unit", [(torch.float64, 1e-14), (torch.float32, 1e-5)])
@pytest.mark.parametrize("form", [SmallBorder, Bordered])
@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("kernel_size, size", [(3, (7, 6)), (5, (6, 9))])
def test_both_forms_of_the_border_solve_forwards_and_transposed(
    kernel_size, size, padding, form, dtype, unit, monkeypatch
) -> None:
    monkeypatch.setattr(solve, "is_small", lambda *_: form is SmallBorder)
    layer = _layer(kernel_size, size, padding, 2)
    dense, y = _dense(layer, size), torch.randn(3, 4, *size, dtype=torch.float64)
    solver = solve.Solver(layer.weight.to(dtype), size, padding, 2)
    assert isinstance(solver.engine, form)
    for transposed, matrix in ((False, dense), (True, dense.T)):
        expected = torch.linalg.solve(matrix, y.flatten(1).T).T.view_as(y)
        found = solver.solve(y, transposed=transposed)
        assert (found - expected).abs().max() < unit * torch.linalg.cond(dense)


@pytest.mark.parametrize("dtype, unit", [(torch.float64, 3e-14), (torch.float32, 1e-6)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding, size", [("zeros", (40, 36)), ("reflect", (100, 98))])
def test_a_border_that_is_read_near_the_edges_is_that_of_the_whole_image(
    padding, size, groups, dtype, unit, monkeypatch
) -> None:
    torch.manual_seed(0)
    layer = InvertibleConv2d(4, padding=padding, groups=groups).to(dtype)
    with torch.no_grad():
        layer.weight.mul_(1 + 1e-3 * torch.randn_like(layer.weight))
        layer.weight[..., 1, 1] *= 3  # what it answers dies away within a few pixels
        x = torch.randint(0, 256, (3, 4, *size)).to(dtype)
        y = layer(x)
        near = layer.inverse(y)
        solver = _solver(layer, size)
        assert solver.engine._edges is not None and not solver.corrections
        assert (solver.single, solver.engine.rounds) == ((True, 1) if unit == 1e-6 else (False, 2))
        layer.forget()
        monkeypatch.setattr("medinv.layers.linalg.bordered.are_worth", lambda *_: False)
        whole = layer.inverse(y)
    assert (near - whole).abs().max() < 256 * unit
    assert (near - x).abs().max() < 256 * 4 * unit


def test_an_iteration_that_does_not_arrive_says_so(monkeypatch) -> None:
    layer = _layer(3, (6, 5, 4), "zeros", 1)
    monkeypatch.setattr(solve, "DIRECT", 10)
    monkeypatch.setattr(solve, "ITERATIONS", 1)
    with pytest.raises(ConvergenceError, match="expected 1e-14"):
        layer.inverse(torch.randn(1, 4, 6, 5, 4, dtype=torch.float64))


def test_an_image_that_is_iterated_is_judged_alone(monkeypatch) -> None:
    layer = _layer(3, (6, 5, 4), "zeros", 1)
    monkeypatch.setattr(solve, "DIRECT", 10)
    x = torch.randn(3, 4, 6, 5, 4, dtype=torch.float64)
    y = layer(x).detach()
    y[1, 0, 0, 0, 0] = math.nan
    back = layer.inverse(y)
    assert back[1].isnan().all() and (back[[0, 2]] - x[[0, 2]]).abs().max() < 1e-11


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_extreme_singular_values_by_lanczos_equal_those_of_the_dense_matrix(
    padding, monkeypatch
) -> None:
    monkeypatch.setattr("medinv.layers.linalg.spectrum.DENSE", 10)
    layer = _layer(3, (8, 7), padding, 1)
    values = torch.linalg.svdvals(_dense(layer, (8, 7)))
    largest, smallest = extreme_singular_values(layer.weight, (8, 7), padding)
    assert largest == pytest.approx(values[0].item(), rel=1e-4) and smallest == pytest.approx(
        values[-1].item(), rel=1e-4
    )


@pytest.mark.parametrize(
    "taps",
    [
        torch.tensor(
            [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
        ),  # loses the wave of half a cycle a pixel on a torus of even width
        torch.tensor([[0, 0, 0], [-1, 1, 0], [0, 0, 0]]),  # loses constants on every torus
    ],
)
def test_a_padded_convolution_is_inverted_even_where_the_circular_one_is_lost(taps) -> None:
    layer = InvertibleConv2d(1, padding="zeros").double()
    x = torch.randint(0, 256, (2, 1, 6, 7)).double()
    with torch.no_grad():
        layer.weight.copy_(taps)
    assert torch.equal(layer.inverse(layer(x)).round(), x)
    assert layer.log_det(x)[0].item() == pytest.approx(0, abs=1e-10)


def test_a_shift_with_zero_padding_is_singular_and_its_lost_image_is_at_the_edge() -> None:
    layer = InvertibleConv2d(2, padding="zeros").double()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[[0, 1], [0, 1], 1, 0] = (
            1  # each pixel takes its left neighbour: the last column is lost
        )
    with pytest.raises(SingularError, match="null_directions"):
        layer.inverse(torch.randn(1, 2, 4, 5, dtype=torch.float64))
    lost = null_directions(layer.weight, (4, 5), "zeros")
    assert len(lost) == 8 and all(
        torch.linalg.vector_norm(d.vector[:, :, -1]).item() == pytest.approx(1) for d in lost
    )
    assert layer.condition_number(torch.zeros(1, 2, 4, 5, dtype=torch.float64)).item() > 1e12


def test_what_cannot_be_is_refused_with_the_reason(monkeypatch) -> None:
    with pytest.raises(ConfigError, match="circular, zeros, reflect, replicate"):
        InvertibleConv2d(3, padding="same")
    with pytest.raises(ConfigError, match="groups that divide"):
        InvertibleConv2d(3, groups=2)
    with pytest.raises(ShapeError, match="at least"):
        InvertibleConv2d(3, kernel_size=5, padding="reflect")(torch.zeros(1, 3, 2, 8))
    monkeypatch.setattr("medinv.layers.linalg.determinant.DIRECT", 10)
    with pytest.raises(ConfigError, match="use circular padding"):
        InvertibleConv3d(3, padding="zeros").log_det(torch.zeros(1, 3, 8, 8, 8))


def _bytes(found: object) -> int:
    """Of all tensors that an object holds, each once."""
    if isinstance(found, torch.Tensor):
        return found.untyped_storage().nbytes()
    if isinstance(found, dict | tuple | list):
        return sum(map(_bytes, found.values() if isinstance(found, dict) else found))
    return sum(map(_bytes, vars(found).values())) if hasattr(found, "__dict__") else 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padding", PADDINGS)
def test_memory_is_told_before_it_is_taken(padding, dtype, monkeypatch) -> None:
    layer = InvertibleConv2d(12, padding=padding, groups=2).to(dtype)
    told = layer.factor_memory((30, 34))
    layer.inverse(torch.zeros(1, 12, 30, 34, dtype=dtype))
    engine = layer._factors.solver(layer.weight, (30, 34), padding, 2).engine
    assert 0.5 * told.held < _bytes(engine) < 1.2 * told.held
    monkeypatch.setattr("medinv.layers.linalg.memory.free_memory", lambda _: told.making - 1)
    layer.forget()
    with pytest.raises(ConfigError, match=r"MB to make and .* are free"):
        layer.inverse(torch.zeros(1, 12, 30, 34, dtype=dtype))
    layer.inverse(torch.zeros(1, 12, 8, 8, dtype=dtype))


def test_factors_of_many_sizes_are_not_hoarded() -> None:
    layer = InvertibleConv2d(1).double()
    for n in range(4, 14):
        layer.inverse(torch.zeros(1, 1, n, n, dtype=torch.float64))
    assert len(layer._factors) <= 4


def test_weights_of_an_ordinary_convolution_load_by_name() -> None:
    layer, conv = InvertibleConv2d(3, bias=True, padding="zeros"), nn.Conv2d(3, 3, 3, padding=1)
    layer.load_state_dict(conv.state_dict())
    x = torch.randn(1, 3, 6, 6)
    assert torch.equal(layer(x), conv(x))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_single_precision_comes_back_to_its_own_rounding_in_any_memory_order(
    padding, order
) -> None:
    layer = _layer(3, (12, 10), padding, 1).float()
    x = torch.randint(0, 256, (4, 4, 12, 10)).float()
    with torch.no_grad():
        y = layer(x.contiguous(memory_format=order))
        condition = layer.condition_number(x)[0].item()
        assert (layer.inverse(y) - x).abs().max() < 256 * 1e-6 * condition


def test_an_ill_conditioned_border_is_solved_in_double_precision_for_single_input() -> None:
    layer = InvertibleConv2d(1, padding="zeros")
    # a triangular operator whose circular counterpart is nearly lost: the correction cancels what
    # the circular solve amplifies
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0, 0, 0], [-1, 1.0 + 1e-5, 0], [0, 0, 0]]))
        x = torch.randint(0, 256, (2, 1, 8, 8)).float()
        assert torch.equal(layer.inverse(layer(x)).round(), x)
    assert not _solver(layer, (8, 8)).single
