"""The transport between two classes does to a Gaussian what the closed form says.

It also knows the image it is given.
"""

import torch

from medinv.models.transport import SIDE, fit_transport


def _two_classes(spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that differ along two fields alone.

    Class 1 is brighter along the first and `spread` times as varied along the second.
    """
    generator = torch.Generator().manual_seed(0)
    fields = torch.zeros(2, SIDE, SIDE)
    fields[0, :, : SIDE // 2], fields[1, :, SIDE // 2 :] = 1.0, 1.0
    amounts, labels = torch.randn(400, 2, generator=generator) * 10, torch.arange(400) % 2
    amounts[labels == 1] *= torch.tensor([1.0, spread])
    amounts[labels == 1] += torch.tensor([30.0, 0.0])
    return 100 + torch.einsum("nk,khw->nhw", amounts, fields)[:, None], labels


def test_classes_of_one_spread_differ_by_their_means_alone() -> None:
    images, labels = _two_classes(1.0)
    transport = fit_transport(images, labels, 2)
    step = transport.step(images[labels == 0][:5], 1)
    assert torch.allclose(
        step[..., : SIDE // 2 - 1].mean((1, 2, 3)), torch.full((5,), 30.0), atol=4.0
    )
    assert step[..., SIDE // 2 + 1 :].abs().max() < 6


def test_what_varies_less_in_the_target_is_drawn_in() -> None:
    images, labels = _two_classes(0.25)
    source = images[labels == 0]
    transport = fit_transport(images, labels, 2)
    right = (source + transport.step(source, 1))[..., SIDE // 2 + 1 :].mean((1, 2, 3))
    assert (
        abs(right.std() / images[labels == 1][..., SIDE // 2 + 1 :].mean((1, 2, 3)).std() - 1) < 0.1
    )
    back = (images[labels == 1] + transport.step(images[labels == 1], 0))[
        ..., SIDE // 2 + 1 :
    ].mean((1, 2, 3))
    assert abs(back.std() / source[..., SIDE // 2 + 1 :].mean((1, 2, 3)).std() - 1) < 0.1


def test_larger_images_get_the_same_step_enlarged() -> None:
    images, labels = _two_classes(0.25)
    transport, small = fit_transport(images, labels, 2), images[:2].double()
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert transport.step(large, 1).shape == large.shape
    assert torch.allclose(
        transport.step(large, 1)[..., 8:-8, 8:24].mean(),
        transport.step(small, 1)[..., 4:-4, 4:12].mean(),
        atol=1e-6,
    )
