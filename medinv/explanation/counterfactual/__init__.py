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
from medinv.explanation.result import Attempt, Counterfactual, LocalEvidence, Method
from medinv.explanation.trunk import Asked


@dataclass(frozen=True)
class Way:
    """A way to make a counterfactual, and whether the next is tried where its re-checks fail.

    without: why it has none to give, in words.
    """

    method: Method
    attempt: Callable[[Asked, Tensor, int, LocalEvidence | None], Counterfactual | None]
    must_hold: bool
    without: str = ""


_FITTED = "and a reference with an expectation, which is fitted to two classes of grey images"
WAYS: tuple[Way, ...] = (
    Way(
        "brightening",
        brightening.counterfactual,
        must_hold=True,
        without=f"it asks for the positive one of two classes as its target, {_FITTED}",
    ),
    Way(
        "inpainting",
        inpainting.counterfactual,
        must_hold=True,
        without=f"it asks for the negative one of two classes as its target, {_FITTED}",
    ),
    Way(
        "exchange",
        exchange.counterfactual,
        must_hold=True,
        without="it asks for a reference with donors and a region, of a model of two classes",
    ),
    Way(
        "transport",
        transport.counterfactual,
        must_hold=False,
        without="it asks for a reference with a transport, which is fitted to grey images",
    ),
    Way("direction", direction.counterfactual, must_hold=False),
)
"""The most local first. `ascent` is not among them: it takes seconds and asks for a witness."""


def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None
) -> tuple[Counterfactual, tuple[Attempt, ...]]:
    """The first counterfactual of one image `x` (1, C, *size) towards `target` that may be shown.

    Its re-checks hold, or it comes from a way that is told whatever they say. The last way gives
    one for every model. With it comes what was tried before it, and why that is not it.
    """
    tried: list[Attempt] = []
    for way in WAYS:
        edit = way.attempt(model, x, target, local)
        if edit is not None and (edit.valid or not way.must_hold):
            return edit, tuple(tried)
        tried.append(Attempt(way.method, way.without if edit is None else _failed(edit)))
    return direction.counterfactual(model, x, target), tuple(tried)


def _failed(edit: Counterfactual) -> str:
    out = [] if edit.flipped else [f"not called {edit.target}"]
    return " and ".join([*out, *([] if edit.in_scope else ["out of scope"])])
