"""The check of a map replaces what speaks most for the class called, then its shape elsewhere."""

import numpy as np
import pytest
import torch

from medinv.explanation.local import CHECKED, QUARTERS, checked, local_evidence, local_terms
from medinv.explanation.result import LocalEvidence
from medinv.explanation.trunk import log_odds


@pytest.fixture
def subject(explained, tiny_images):
    """The tiny model, an image, its map and the ground that replaces."""
    x = tiny_images[:1]
    local = local_evidence(explained, x, explained.reference.states)
    return explained, x, local, explained.reference.class_means[0]


def mask(values: np.ndarray) -> torch.Tensor:
    """The 5 % that speak most, blurred by hand: a Gaussian of 1.5 pixels that wraps, times 1.6."""
    strongest = (values >= np.quantile(values, 0.95)).astype(float)
    offset = np.arange(-6, 7)
    kernel = np.exp(-(offset**2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        strongest = sum(
            weight * np.roll(strongest, by, axis) for weight, by in zip(kernel, offset, strict=True)
        )
    return torch.from_numpy(np.clip(1.6 * strongest, 0, 1))


@pytest.mark.parametrize("called", [0, 1])
def test_what_the_class_called_loses(subject, called) -> None:
    model, x, local, ground = subject
    model.decision_logit.fill_(local.logit + (-1 if called else 1))
    check = checked(model, x, local, ground).check
    sign = 1 if called else -1
    soft = mask(sign * local.locations)
    with torch.no_grad():
        replaced = [
            x * (1 - soft.roll((4 * i, 4 * j), (0, 1))) + ground * soft.roll((4 * i, 4 * j), (0, 1))
            for i in range(QUARTERS)
            for j in range(QUARTERS)
        ]
        falls = sign * (local.logit - log_odds(model, torch.cat(replaced)))
    assert check.share == CHECKED == 0.05
    assert check.fall == pytest.approx(falls[0].item(), abs=1e-4)
    assert check.elsewhere == pytest.approx(falls[1:].tolist(), abs=1e-4)


def test_the_rest_of_the_result_stays(subject) -> None:
    model, x, local, ground = subject
    after = checked(model, x, local, ground)
    assert isinstance(after, LocalEvidence) and after.locations is local.locations
    assert (after.bias, after.jitter, after.logit) == (local.bias, local.jitter, local.logit)
    assert local.check is None


def test_a_place_is_as_coarse_as_the_finest_depth(subject) -> None:
    model, _, local, _ = subject
    sides = [state.shape[-1] for state in model.reference.states.values()]
    assert len(set(sides)) > 1 and local.grain == 16 // max(sides)


def test_terms_of_a_coarse_depth_spread_over_the_pixels_around_their_place(subject) -> None:
    model, x, _, _ = subject
    name, state = next(reversed(model.reference.states.items()))
    factor = 16 // state.shape[-1]
    maps = local_terms(model, x, {name: state})[0][0]
    blocks = maps.reshape(state.shape[-2], factor, state.shape[-1], factor)
    steps = (maps[:, 1:] - maps[:, :-1]).abs()
    within = steps[:, [k for k in range(15) if (k + 1) % factor]].mean()
    between = steps[:, [k for k in range(15) if not (k + 1) % factor]].mean()
    assert blocks.std(unbiased=False) > 0 and between < 2.5 * within, "no edges of the grid"
