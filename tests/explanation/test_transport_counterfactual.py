"""A counterfactual by the classes goes the transport's way, then as far as this model asks for."""

import pytest
import torch

from medinv.explanation.counterfactual.transport import Path, transport_features
from medinv.models.transport import Transport, fit_transport


@pytest.fixture(scope="module")
def transport(tiny_data) -> Transport:
    return fit_transport(
        torch.from_numpy(tiny_data.train.images).float(),
        torch.from_numpy(tiny_data.train.labels),
        8,
    )


@pytest.mark.parametrize("target", [0, 1])
def test_it_reaches_the_share_of_typical_log_odds_that_was_asked_for(
    tiny_model, tiny_images, transport, target
) -> None:
    logits = tiny_model.logits_of(
        transport_features(
            tiny_model, transport, tiny_images, target, path=Path(length=2.0, share=1.5)
        )
    )
    reached = logits[:, 1] - logits[:, 0]
    wanted = 1.5 * tiny_model.typical_odds[target]
    assert ((reached >= wanted - 1e-6) if target else (reached <= wanted + 1e-6)).all()


def test_where_the_transport_suffices_the_model_adds_nothing(
    tiny_model, tiny_images, transport
) -> None:
    x = tiny_images[:2]
    decoded = tiny_model.invert(
        transport_features(tiny_model, transport, x, 1, path=Path(length=5.0, share=-1e6))
    )
    step = transport.step(x, 1)
    wanted = (x + 5 * step / step.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(0, 255)
    assert torch.allclose(decoded, wanted, atol=1e-6)
