"""A counterfactual by the classes goes the transport's way and then as far as this model asks for."""

import numpy as np
import pytest
import torch

from medinv.explanation.explain import explain_image
from medinv.explanation.counterfactual.transport import Way, transported, transported_counterfactual
from medinv.models.reference import load_cases
from medinv.models.store import load
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
        transported(tiny_model, transport, tiny_images, target, way=Way(length=2.0, share=1.5))
    )
    reached = logits[:, 1] - logits[:, 0]
    wanted = 1.5 * tiny_model.typical_odds[target]
    assert ((reached >= wanted - 1e-6) if target else (reached <= wanted + 1e-6)).all()


def test_where_the_transport_suffices_the_model_adds_nothing(
    tiny_model, tiny_images, transport
) -> None:
    x = tiny_images[:2]
    decoded = tiny_model.invert(
        transported(tiny_model, transport, x, 1, way=Way(length=5.0, share=-1e6))
    )
    step = transport.step(x, 1)
    wanted = (x + 5 * step / step.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(0, 255)
    assert torch.allclose(decoded, wanted, atol=1e-6)


def test_the_result_says_how_it_was_made_and_begins_at_the_input(
    tiny_model, tiny_images, transport
) -> None:
    found = transported_counterfactual(tiny_model, transport, tiny_images[:1], 1)
    assert (
        found.made == "transport"
        and (found.strip[0] == tiny_images[0, 0].numpy()).all()
        and (found.strip[-1] == found.image).all()
    )


def test_the_shipped_chest_model_explains_by_the_classes() -> None:
    model, kept = load("chest-xray"), load_cases("chest-xray")
    image = kept.class_means[1].round().to(torch.uint8).numpy()
    edit = explain_image(model, image, kept)[0].counterfactual
    assert (
        edit.made == "transport"
        and edit.flipped
        and edit.target == "normal"
        and edit.out_of_range < 0.05
    )
    assert explain_image(model, image)[0].counterfactual.made == "direction", (
        "without what it keeps, along the class direction"
    )
    assert np.abs(edit.difference).max() > 10
