"""Sentences of the proof: what was checked, and what came out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from medinv.explanation.result import Neighbours, Reconstruction, Stage
from medinv.report.strings.image import odds_of
from medinv.report.strings.numbers import counted, fixed, number, percent, signed

if TYPE_CHECKING:
    from medinv.report.derived import Contrast
    from medinv.report.figures import EvidenceMap

IDENTITY_REFERENCE = (
    "Contributions are counted from the mean grey level that the model subtracts: "
    "a pixel of that brightness carries nothing."
)
STAGES_READING = (
    "What each stage holds, decoded alone with all others at zero: the coarsest decides, "
    "the finer ones keep what the answer does not use."
)
TRACE_NONE = "The decoding from every depth was not made for this image."
NEAREST_NONE = "No similar cases are named: the model comes without an index of its training cases."
LIKENESS_READING = (
    "The same maps by networks that cannot know the answer. "
    "Near 1, a map does not depend on what it claims to explain."
)
CONTROLS_NONE = "No controls were run for this image."


def certificate(trip: Reconstruction) -> str:
    """Whether every stored value came back."""
    values = f"{trip.image.size:,} stored values"
    verdict = (
        f"Exact: all {values} came back"
        if trip.exact
        else f"Not exact: not all of the {values} came back"
    )
    return (
        f"{verdict} after rounding ({trip.bits} bit, arithmetic in {trip.dtype}). "
        f"Largest error before rounding: {number(trip.max_abs_error, 2)} grey levels."
    )


def identity(two: Contrast) -> str:
    """What sums to what."""
    share = "probability" if two.only else "share of the first in the probability of both"
    return (
        "For this image the network is one affine map: pixel contributions and a constant sum to "
        f"the logit, the calibrated log-odds of {odds_of(two)}, whose sigmoid is the {share}."
    )


def identity_rows(pixels: EvidenceMap) -> tuple[tuple[str, str], ...]:
    """The terms of the identity, in order, with their values."""
    return (
        ("Pixels above zero", fixed(pixels.balance.towards)),
        ("Pixels below zero", fixed(pixels.balance.against)),
        ("Constant (no pixel carries it)", fixed(pixels.bias)),
        ("Logit that the network computes", fixed(pixels.logit)),
        ("Residual of the sum", number(pixels.residual, 2)),
    )


def cancellation(towards: float, against: float) -> str:
    """Claims that contributions cancel only where less than a tenth of their size is left."""
    left = towards + against
    if abs(left) < 0.1 * (towards - against):
        return (
            f"Pixel contributions largely cancel: {signed(towards)} and {signed(against)} "
            f"leave {signed(left)}."
        )
    return (
        f"Pixel contributions sum to {signed(towards)} and {signed(against)}, "
        f"which leaves {signed(left)}."
    )


def decoded_alt(given: tuple[int, int], error: float) -> str:
    """The decoded input for those who do not see it. error: grey levels."""
    return (
        f"What the features decode to: {given[0]} by {given[1]} grey levels, "
        f"at most {number(error, 2)} from the input."
    )


def error_alt(scale: float) -> str:
    """The error for those who do not see it. scale: grey levels."""
    size = f"at most {number(scale, 2)} grey levels in size" if scale else "zero everywhere"
    return f"Error of the reconstruction: {size}."


def error_note(scale: float) -> str:
    """The value of full colour, grey levels."""
    size = f"full colour is \u00b1{number(scale, 2)} grey levels" if scale else "zero everywhere"
    return f"Decoded minus input: {size}."


def trace_check(depths: int, exact: bool, error: float) -> str:
    """What decoding from every depth gave. error: grey levels."""
    return (
        f"Decoding from each of {depths} depths of the network "
        f"{'gives' if exact else 'does not give'} every stored value of the input; "
        f"the largest error before rounding is {number(error, 2)} grey levels."
    )


def trace_condition(name: str, condition: float) -> str:
    """The layer that loses most digits."""
    return (
        f"The layer with the largest condition number at this image is {name}: {number(condition)}."
    )


def stage_note(stage: Stage, total: int, decides: bool) -> str:
    """What a stage holds, of `total` numbers."""
    head = "What decides: " if decides else ""
    with_coarser = "" if decides else "with all coarser ones "
    return (
        f"{head}{stage.values:,} of {total:,} numbers, {percent(stage.energy_share)} of the "
        f"features' squared length; {with_coarser}it accounts for "
        f"{percent(stage.variance_explained)} of the image's contrast."
    )


def stage_alt(name: str) -> str:
    """A stage for those who do not see it."""
    return f"The image decoded from {name} alone."


def nearest_words(neighbours: Neighbours, label: str) -> tuple[str, ...]:
    """The cases in words, or that none is near."""
    distance = nearest_distance(neighbours.distances[0], neighbours.typical, neighbours.valid)
    return (nearest_sentence(neighbours.labels, label, neighbours.chance), distance)[
        not neighbours.valid :
    ]


def nearest_sentence(labels: tuple[str, ...], label: str, chance: float) -> str:
    """What the nearest cases are labelled, beside chance."""
    listed = ", ".join(f"{count} {name}" for name, count in Counter(labels).most_common())
    return (
        f"The {len(labels)} training cases nearest by what decides are labelled: {listed}. "
        f"Drawn by chance, {percent(chance)} would be {label}."
    )


def nearest_distance(nearest: float, typical: tuple[float, float], valid: bool) -> str:
    """The whole answer where no case is near. Distances in standard deviations."""
    nearest_at = (
        f"The nearest training case lies at {number(nearest)} standard deviations; "
        f"for validation images this is {number(typical[0])} in the median"
    )
    if valid:
        return f"{nearest_at} and up to {number(typical[1])} for 95\u00a0% of them."
    return (
        f"{nearest_at} and above {number(typical[1])} for only 5\u00a0% of them: "
        "no training case is near enough to be called similar."
    )


def nearest_note(recovered: float) -> str:
    """What is kept of the cases."""
    return (
        f"No image is kept: the best decoding tried recovers {percent(recovered)} of the pixels' "
        "variance from the numbers kept of each case."
    )


def controls_reading(target: str, flipping: tuple[str, ...], count: int) -> str:
    """Which other changes do the same."""
    changes = f"{counted(count, ('other change', 'other changes'))} of the same size"
    if not flipping:
        return f"None of {changes} makes the answer {target}."
    return f"Of {changes}, these make the answer {target} too: {', '.join(flipping)}."
