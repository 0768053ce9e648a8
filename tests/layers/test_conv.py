"""The inverse of a trained convolution, against the dense matrix of the same convolution."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medinv.errors import ConfigError, SingularError
from medinv.layers import InvertibleConv2d
from medinv.layers.linalg import symbol as symbols

SIZES = [(8, 8), (6, 10), (4, 2), (7, 5)]


def _trained(channels: int, kernel_size: int) -> InvertibleConv2d:
    """A convolution after a short training, so that its kernel is no longer the one it started
    with.
    """
    torch.manual_seed(0)
    layer = InvertibleConv2d(channels, kernel_size, bias=True).double()
    x, target = torch.randn(2, 8, channels, 8, 8, dtype=torch.float64)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(20):
        optimiser.zero_grad()
        (F.mse_loss(layer(x), target) - 1e-3 * layer.log_det(x).mean()).backward()
        optimiser.step()
    return layer


def _dense(layer: InvertibleConv2d, size: tuple[int, int]) -> torch.Tensor:
    """The matrix of the convolution without bias, built by placing each tap: no Fourier transform
    and no call of the layer.
    """
    height, width = size
    c, k = layer.channels, layer.kernel_size
    matrix = torch.zeros(c, height, width, c, height, width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            for u in range(k):
                for v in range(k):
                    matrix[:, i, j, :, (i + u - k // 2) % height, (j + v - k // 2) % width] += (
                        layer.weight.detach()[:, :, u, v]
                    )
    return matrix.reshape(c * height * width, -1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels, kernel_size", [(1, 3), (3, 3), (5, 1), (4, 3)])
def test_forward_inverse_and_spectrum_equal_the_dense_matrix(channels, kernel_size, size) -> None:
    layer = _trained(channels, kernel_size)
    dense = _dense(layer, size)
    x = torch.randn(2, channels, *size, dtype=torch.float64)
    y = layer(x)
    bias = layer.bias.detach()[:, None, None]
    assert torch.allclose((y - bias).flatten(1), x.flatten(1) @ dense.T, atol=1e-12)
    solved = torch.linalg.solve(dense, (y - bias).flatten(1).T).T.reshape(x.shape)
    assert torch.allclose(layer.inverse(y), solved, atol=1e-11) and torch.allclose(
        layer.inverse(y), x, atol=1e-11
    )
    assert layer.log_det(x)[0].item() == pytest.approx(
        torch.linalg.slogdet(dense)[1].item(), abs=1e-9
    )
    values = torch.linalg.svdvals(dense)
    assert layer.condition_number(x)[0].item() == pytest.approx(
        (values[0] / values[-1]).item(), rel=1e-9
    )
    counts = symbols.multiplicities(size[1], values).repeat(size[0]).long()
    ours = (
        torch.repeat_interleave(
            symbols.singular_values(layer.weight, size).flatten(0, 1), counts, dim=0
        )
        .flatten()
        .sort(descending=True)
        .values
    )
    assert torch.allclose(ours, values, atol=1e-11)


def test_penalty_is_the_mean_departure_from_an_isometry() -> None:
    layer = _trained(3, 3)
    s = np.concatenate([symbols.symbol(layer.weight.detach(), (7, 7)).numpy()])
    gram = np.conj(np.swapaxes(s, -1, -2)) @ s - np.eye(3)
    counts = symbols.multiplicities(7, layer.weight).numpy()
    direct = ((np.abs(gram) ** 2).sum((-1, -2)) * counts).sum() / 49
    assert symbols.orthogonality_penalty(layer.weight).item() == pytest.approx(direct, rel=1e-12)


def test_a_lost_frequency_is_reported_not_amplified() -> None:
    layer = InvertibleConv2d(1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]], dtype=torch.float64))
    with pytest.raises(SingularError, match="8x8"):
        layer.inverse(torch.randn(1, 1, 8, 8, dtype=torch.float64))


def test_unsupported_kernels_are_refused() -> None:
    with pytest.raises(ConfigError, match="kernel_size"):
        InvertibleConv2d(3, kernel_size=2)
