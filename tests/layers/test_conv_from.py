"""An ordinary trained convolution, taken over."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medinv.errors import ConfigError, SingularError
from medinv.layers import Chain, InvertibleConv2d, InvertibleConv3d, from_conv, predict


def _trained(conv: nn.Conv2d) -> nn.Conv2d:
    """A few steps of an ordinary task: predict the image's neighbour differences."""
    optimiser = torch.optim.Adam(conv.parameters(), lr=0.02)
    for _ in range(30):
        x = torch.randn(8, conv.in_channels, 12, 12, dtype=conv.weight.dtype)
        optimiser.zero_grad()
        F.mse_loss(conv(x), x - 0.4 * x.roll(1, 2)).backward()
        optimiser.step()
    return conv


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular", "replicate"])
@pytest.mark.parametrize("kernel_size, groups", [(3, 1), (5, 2), (3, 4)])
def test_a_trained_convolution_runs_backwards(mode, kernel_size, groups) -> None:
    torch.manual_seed(0)
    conv = _trained(
        nn.Conv2d(4, 4, kernel_size, padding="same", padding_mode=mode, groups=groups).double()
    )
    layer = from_conv(conv, (12, 12))
    x = torch.randint(0, 2**16, (2, 4, 12, 12)).double()
    assert isinstance(layer, InvertibleConv2d) and torch.allclose(layer(x), conv(x), rtol=1e-14)
    with torch.no_grad():
        assert torch.equal(layer.inverse(conv(x)).round(), x)


def test_copied_weights_stay_and_shared_weights_follow() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1).double()
    copied, shared = from_conv(conv), from_conv(conv, share=True)
    before = conv.weight.detach().clone()
    with torch.no_grad():
        conv.weight.add_(1)
    assert (
        torch.equal(copied.weight, before)
        and shared.weight is conv.weight
        and shared.bias is conv.bias
    )


def test_volumes_too() -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(2, 2, 3, padding=1, bias=False).double()
    with torch.no_grad():
        conv.weight[[0, 1], [0, 1], 1, 1, 1] += 2
    layer, x = from_conv(conv, (4, 5, 3)), torch.randn(1, 2, 4, 5, 3, dtype=torch.float64)
    assert isinstance(layer, InvertibleConv3d) and torch.allclose(
        layer.inverse(conv(x)), x, atol=1e-12
    )


def test_a_blur_is_singular_and_the_lost_waves_are_named() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(
            torch.tensor([[0, 0, 0], [0.25, 0.5, 0.25], [0, 0, 0]], dtype=torch.float64)
        )
    with pytest.raises(
        SingularError, match=r"8 directions are lost: the wave of \(\+0, -0.5\) cycles a pixel"
    ):
        from_conv(conv, (8, 8))
    from_conv(conv, (8, 7))  # half a cycle a pixel does not fit an odd width


def test_an_edge_filter_with_zero_padding_names_the_lost_image() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[0, 0, 0], [-1, 0, 1], [0, 0, 0]], dtype=torch.float64))
    with pytest.raises(SingularError, match="4 directions are lost: an image strongest at pixel"):
        from_conv(conv, (4, 5))  # antisymmetric of odd order: one null vector a row
    from_conv(conv, (4, 6))


@pytest.mark.parametrize(
    "conv, reason",
    [
        (nn.Conv2d(3, 6, 3, padding=1), "in_channels equal to out_channels"),
        (nn.Conv2d(3, 3, 3, padding=1, stride=2), "stride 1"),
        (nn.Conv2d(3, 3, 3), "padding"),
        (nn.Conv2d(3, 3, 2), "one to one"),
        (nn.Linear(3, 3), "Conv2d"),
    ],
)
def test_what_is_no_bijection_of_images_is_refused_by_name(conv, reason) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        from_conv(conv)
    assert "not supported" not in str(caught.value)


@pytest.mark.parametrize(
    "conv, reason",
    [
        (nn.Conv2d(3, 3, 3, padding=2, dilation=2), "dilation 1"),
        (nn.Conv2d(3, 3, (3, 1), padding="same"), "equal sides"),
        (nn.Conv2d(3, 3, 7, padding=3), "equal sides"),
    ],
)
def test_what_is_not_supported_is_not_called_impossible(conv, reason) -> None:
    with pytest.raises(ConfigError, match=f"{reason}.*not supported"):
        from_conv(conv)


def test_what_eight_ordinary_layers_amplify_is_told_before_anything_is_inverted() -> None:
    torch.manual_seed(0)
    layers = [from_conv(_trained(nn.Conv2d(4, 4, 3, padding=1))) for _ in range(8)]
    x = torch.randint(0, 256, (2, 4, 12, 12)).float()
    told = predict(Chain(*layers), x)
    chain = Chain(*layers)
    y = chain(x).detach()
    error = 1e-3 * torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        measured = (chain.inverse(y + error) - chain.inverse(y)).norm() / error.norm()
    assert told.amplification == pytest.approx(measured.item(), rel=0.5)
    assert told.amplification <= told.amplification_bound and len(told.layers) == 8
