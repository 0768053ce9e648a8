"""Images for which the decision is another: one way a file, tried in the order of `WAYS`.

A way is a function `counterfactual(model, x, target, local)` that gives a `Counterfactual` with its
re-checks, or None where this model, target or image cannot have one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from medinv.explanation.counterfactual import (
    brightening,
    direction,
    exchange,
    inpainting,
    transport,
)
from medinv.explanation.result import Counterfactual, LocalEvidence
from medinv.models.density import Classifier


@dataclass(frozen=True)
class Way:
    """A way to make a counterfactual, and whether the next is tried where its re-checks fail."""

    attempt: Callable[[Classifier, Tensor, int, LocalEvidence | None], Counterfactual | None]
    must_hold: bool


WAYS: tuple[Way, ...] = (
    Way(brightening.counterfactual, must_hold=True),
    Way(inpainting.counterfactual, must_hold=True),
    Way(exchange.counterfactual, must_hold=True),
    Way(transport.counterfactual, must_hold=False),
    Way(direction.counterfactual, must_hold=False),
)
"""The most local first. `ascent` is not among them: it takes seconds and asks for a witness."""


def counterfactual(
    model: Classifier, x: Tensor, target: int, local: LocalEvidence | None
) -> Counterfactual:
    """The first counterfactual of one image `x` (1, 1, H, W) towards `target` that may be shown.

    Its re-checks hold, or it comes from a way that is told whatever they say. The last way gives
    one for every model.
    """
    for way in WAYS:
        edit = way.attempt(model, x, target, local)
        if edit is not None and (edit.valid or not way.must_hold):
            return edit
    return direction.counterfactual(model, x, target)
