"""A counterfactual that is sought comes nearer to the answer, and convinces its witness."""

from copy import deepcopy

import torch

from medinv.explanation.counterfactual.ascent import Search, Witness, ascend, counterfactual
from medinv.models.base import Calibrated


class Brightness(Calibrated):
    """Calls an image positive when its upper left corner is bright."""

    def logits(self, x):
        bright = (x[:, 0, :8, :8].mean((1, 2)) - 100) / 10
        return torch.stack([-bright, bright], 1)


LONG = Search(steps=60, rate=0.1, prior=0.01)


def test_the_log_odds_come_nearer_to_those_asked_for_within_the_range_of_grey_levels(
    tiny_model, tiny_images
) -> None:
    def missing(z, target: int) -> float:
        """Log-odds between features and what is asked for; 0 where that is reached."""
        with torch.no_grad():
            logits = tiny_model.logits_of(z)
        wanted = LONG.share * tiny_model.typical_odds[target]
        return max(0.0, ((1 if target else -1) * (wanted - (logits[0, 1] - logits[0, 0]))).item())

    for x in tiny_images[:2].split(1):
        with torch.no_grad():
            start = tiny_model.features(x)
        target = max((0, 1), key=lambda k: missing(start, k))
        found = counterfactual(tiny_model, x, target, search=LONG)
        assert missing(ascend(tiny_model, x, target, search=LONG), target) < 0.5 * missing(
            start, target
        )
        assert (
            (found.strip[0] == x[0, 0].numpy()).all()
            and (found.strip[-1] == found.image).all()
            and found.out_of_range < 0.05
        )


def test_a_witness_is_convinced_too(tiny_model, tiny_images) -> None:
    witness, x = Witness(Brightness(("clear", "opacity")), odds=8.0), tiny_images[:2]

    def odds(z):
        with torch.no_grad():
            return witness.model.log_odds(witness.model.logits(tiny_model.invert(z)))

    alone, together = (
        ascend(tiny_model, x, 1, witness=given, search=LONG) for given in (None, witness)
    )
    assert (odds(together) > odds(alone) + 1).all()


def test_nothing_is_left_in_the_models_gradients(tiny_model, tiny_images) -> None:
    ascend(tiny_model, tiny_images[:1], 1, search=Search(steps=2))
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


def test_a_stronger_prior_changes_less(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    with torch.no_grad():
        start = tiny_model.features(x)
    lengths = [
        (ascend(tiny_model, x, 1, search=Search(steps=60, rate=0.1, prior=prior)) - start)
        .norm()
        .item()
        for prior in (0.01, 10.0)
    ]
    assert lengths[1] < lengths[0]


def test_what_is_asked_for_is_the_share_of_the_typical_log_odds(tiny_model, tiny_images) -> None:
    model, x = deepcopy(tiny_model), tiny_images[:1].clamp(5, 250)
    with torch.no_grad():
        start = model.features(x)
        (odds,) = model.logits_of(start).diff(dim=1).flatten().tolist()
    target = int(odds > 0)
    model.typical_odds[target] = 2 * odds
    reached, asked = (
        ascend(model, x, target, search=Search(steps=3, share=share)) for share in (0.4, 0.6)
    )
    assert torch.allclose(reached, start, rtol=0, atol=1e-9), "0.8 of what it has is no request"
    assert not torch.allclose(asked, start, rtol=0, atol=1e-3), "1.2 of it is one"
