"""Sentences about the image for which the answer is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medinv.explanation.result import CHANGED, Counterfactual, Method
from medinv.report.strings.labels import COUNTERFACTUAL, INPUT
from medinv.report.strings.numbers import counted, number, percent, signed

if TYPE_CHECKING:
    from medinv.report.derived import Subject
    from medinv.report.drawing import SignedPicture

_SEEN = (
    "What this model would need to see to answer {target}, decoded from its own features; "
    "not what {target} looks like."
)
AROUND = 0.7  # of the pixels changed, from which an exchange took more than the region
NAMES: dict[Method, str] = {
    "direction": "What this model would need to see",
    "ascent": "What this model would need to see",
    "transport": "Changed as the groups of {images} differ",
    "exchange": "With the {region} of another {person}",
    "inpainting": "Without this part",
    "brightening": "With a faint brightening",
    "smallest": "With the smallest part of the {region} changed",
}
MADE: dict[Method, str] = {
    "direction": _SEEN,
    "ascent": _SEEN,
    "transport": (
        "First changed as training images called {target} differ from the others, for an image "
        "like this one, then in the model's features until it answers {target}. The first part "
        "does not come from the model; neither shows what {target} would look like in this "
        "patient."
    ),
    "exchange": (
        "This image with a part of another: where the label is decided stands what a training "
        "image labelled {target} shows there, the one that is most like this image around it and "
        "is answered {target}. That part belongs to somebody else. It says what this model "
        "answers by, not what {target} would look like in this patient."
    ),
    "smallest": (
        "As few cells as it takes of what a training image labelled {target} shows there: that "
        "part belongs to somebody else. It says what this model answers by, not where disease is."
    ),
    "inpainting": (
        "The part of the image that speaks most for the answer given, and a margin around it, "
        "filled in until the model answers {target} more clearly than for a usual image, or as "
        "near to that as it came. The evidence chose the place, the model's answer how much of "
        "it; what is filled in is expected from the rest of this image and from training images "
        "labelled {target}. It is not known to be what lies underneath, and what the model did "
        "not use may be left."
    ),
    "brightening": (
        "The least round brightening, of the places and sizes that were tried, for which the "
        "model answers {target} as clearly as it mostly does. The model chose the place and the "
        "amount; the shape was given beforehand. It shows how little would do, not what {target} "
        "looks like, nor where to look for it."
    ),
}
DIFFERENCE_READING = (
    "Counterfactual minus input. Green is brighter (denser), purple darker; no colour is no change."
)


def counterfactual_heading(target: str, valid: bool) -> str:
    """What was tried, and whether it may be shown."""
    if valid:
        return f"What would have made the answer \u201c{target}\u201d"
    return f"No counterfactual for \u201c{target}\u201d"


def counterfactual_name(edit: Counterfactual, of: Subject) -> str:
    """What stands in the image, in plain words."""
    name = NAMES[edit.method].format(images=of.images, region=of.region, person=of.person)
    around = edit.method == "exchange" and edit.changed > AROUND
    return f"{name} and what lies around them" if around else name


def counterfactual_words(edit: Counterfactual, by: str | None) -> tuple[str, str, str]:
    """What it is, what its re-check said, and how large it is.

    by: what the model's scope looks at, None of a model without one; so below.
    """
    return (
        counterfactual_reading(edit, by),
        counterfactual_check(edit.target, edit.flipped, edit.logit),
        counterfactual_size(edit.rms, edit.changed, edit.out_of_range),
    )


def counterfactual_reading(edit: Counterfactual, by: str | None) -> str:
    """How it was made, or why it is not shown."""
    if edit.valid:
        return MADE[edit.method].format(target=edit.target)
    failed = ([] if edit.flipped else [f"classified as {edit.target}"]) + (
        [] if edit.in_scope else [f"an image of the model's kind by its {by}"]
    )
    return (
        f"The image was edited towards {edit.target}, but the edited image is not "
        f"{', and not '.join(failed)}. It is therefore not shown."
    )


def counterfactual_recheck(target: str, flipped: bool, in_scope: bool, by: str | None) -> str:
    """The two re-checks."""
    be = "is" if by == "likelihood" else "are"
    scope = (
        "this model cannot judge its scope"
        if by is None
        else f"its {by} {be} {'in' if in_scope else 'out of'} scope"
    )
    return (
        "The counterfactual, stored and classified anew, is "
        f"{'now' if flipped else 'not'} called {target}, and {scope}."
    )


def counterfactual_check(target: str, flipped: bool, logit: float) -> str:
    """What the model answers to it."""
    outcome = f"the answer is now {target}" if flipped else f"the answer does not become {target}"
    return (
        "Stored as 8\u2011bit grey levels and classified anew, it has log-odds "
        f"{signed(logit)}: {outcome}."
    )


def counterfactual_size(rms: float, changed: float, share: float) -> str:
    """How far it is from the input. rms: grey levels; share: of pixels that left the range."""
    return (
        f"It differs from the input by {number(rms)} grey levels RMS, by more than {CHANGED} in "
        f"{percent(changed)} of its pixels; {percent(share)} of its pixels left the range 0 to 255 "
        "and were clipped."
    )


def counterfactual_alt(target: str, rms: float) -> str:
    """The counterfactual for those who do not see it."""
    return (
        f"Counterfactual for {target}, {number(rms)} grey levels RMS from the input; "
        "the re-check confirms the new answer."
    )


def difference_alt(difference: np.ndarray, rms: float) -> str:
    """The difference for those who do not see it."""
    low, high = float(difference.min()), float(difference.max())
    return (
        f"Counterfactual minus input: from {signed(low)} to {signed(high)} grey levels, "
        f"RMS {number(rms)}. Green is brighter, purple darker."
    )


def difference_scale(drawn: SignedPicture) -> str:
    """The value of full colour, and what lies beyond it."""
    beyond = counted(drawn.clipped, ("pixel lies", "pixels lie"))
    said = f"; {beyond} beyond" if beyond else ""
    return f"Full colour is \u00b1{number(drawn.scale)} grey levels{said}."


def frame_names(count: int) -> tuple[str, ...]:
    """Names of the pictures from the input to the counterfactual."""
    between = (f"Step {n} of {count - 1}" for n in range(1, count - 1))
    return (INPUT, *between, COUNTERFACTUAL)
