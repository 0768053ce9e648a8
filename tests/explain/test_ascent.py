"""A counterfactual that is sought flips the answer in fewer grey levels, and convinces the witness that it was shown."""

import torch

from medinv.explain.ascent import Search, seek, sought_counterfactual
from medinv.models.calibrated import Calibrated


class Brightness(Calibrated):
    """Calls an image positive when its upper left corner is bright."""

    def logits(self, x):
        bright = (x[:, 0, :8, :8].mean((1, 2)) - 100) / 10
        return torch.stack([-bright, bright], 1)


LONG = Search(steps=60, rate=0.1, prior=0.01)


def test_the_answer_is_flipped_within_the_range_of_grey_levels(tiny_model, tiny_images) -> None:
    for x in tiny_images[:2].split(1):
        with torch.no_grad():
            target = int(tiny_model.log_odds(tiny_model.logits(x)).item() < tiny_model.decision_logit.item())
        found = sought_counterfactual(tiny_model, x, target, search=LONG)
        before = tiny_model.log_odds(tiny_model.logits(x)).item()
        assert (found.target_logit > before) == bool(target), "the features go the way that was asked for; rounding may undo so small a step"
        assert (found.strip[0] == x[0, 0].numpy()).all() and (found.strip[-1] == found.image).all() and found.out_of_range < 0.05


def test_a_witness_is_convinced_too(tiny_model, tiny_images) -> None:
    witness, x = Brightness(("clear", "opacity")), tiny_images[:2]

    def odds(z):
        with torch.no_grad():
            return witness.log_odds(witness.logits(tiny_model.invert(z)))

    alone, together = (seek(tiny_model, x, 1, witness=given, witness_odds=8.0, search=LONG) for given in (None, witness))
    assert (odds(together) > odds(alone) + 1).all()


def test_nothing_is_left_in_the_models_gradients(tiny_model, tiny_images) -> None:
    seek(tiny_model, tiny_images[:1], 1, search=Search(steps=2))
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


def test_a_stronger_prior_changes_less(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    with torch.no_grad():
        start = tiny_model.features(x)
    lengths = [(seek(tiny_model, x, 1, search=Search(steps=60, rate=0.1, prior=prior)) - start).norm().item() for prior in (0.01, 10.0)]
    assert lengths[1] < lengths[0]
