"""Sentences about one image: as stored, its evidence, its counterfactual."""

from medinv.explanation.result import CHANGED, LocalCheck, Method
from medinv.report.strings.labels import BANDS, COLUMNS, COUNTERFACTUAL, INPUT
from medinv.report.strings.numbers import counted, fixed, number, percent, signed

PLACE = "place"  # what one value of a local map is of


def evidence_check(residual: float) -> str:
    return f"Evidence and constant sum to the model's logit to within {number(residual, 2)}."


def evidence_unit(block: str) -> str:
    return f"log-odds per {'pixel' if block == PLACE else block}"


def evidence_reading(block: str, positive: str, negative: str) -> str:
    against = (
        f", each against what is usual there in training images labelled {negative}"
        if block == PLACE
        else ""
    )
    return f"Orange {block}s push the answer towards {positive}, blue {block}s towards {negative}{against}; no colour is no contribution."


def evidence_place(
    block: str, place: tuple[int, int], largest: float, positive: str, negative: str
) -> str:
    side, size = (
        positive if largest > 0 else negative,
        "" if block == PLACE else f": {signed(largest)}",
    )
    where = f"{BANDS[place[0]]} {COLUMNS[place[1]]}"
    return f"The {block} that weighs most lies in the {where} of the image as displayed{size}, towards {side}."


def local_check(check: LocalCheck | None, label: str, negative: str) -> str:
    """What replacing the strongest part of the map did, and whether a place may be claimed."""
    if check is None:
        return "That the answer comes from this place was not checked, and is not claimed."
    most = max(0.0, *check.elsewhere)
    what = f"The {percent(check.share)} of the image that speaks most for {label}, replaced by the mean training image labelled {negative}"
    effect = (
        f"takes {number(check.fall)} log-odds from"
        if check.fall >= 0
        else f"adds {number(-check.fall)} log-odds to"
    )
    measured = f"{what}, {effect} that answer; the same shape at {len(check.elsewhere)} other places takes at most {number(most)}."
    return measured if check.valid else f"{measured} So no place is claimed."


def decision_steps(
    classes: tuple[str, str],
    block: str,
    terms: tuple[float, float, float, float],
    probability: float,
    threshold: float | None,
    label: str,
) -> tuple[tuple[str, str], ...]:
    """Values with what they are, in the order in which one follows from the other. classes: negative, positive; terms: constant, towards, against, logit."""
    negative, positive = classes
    constant, towards, against, logit = (fixed(term) for term in terms)
    no_place = f"what is usual in {negative} images, and what a move of the image by a pixel or two does: no place carries it"
    side = (
        ""
        if threshold is None
        else f", since {'at or above' if probability >= threshold else 'below'} the operating point of {percent(threshold)}"
    )
    return (
        (constant, no_place if block == PLACE else "the constant, which no pixel carries"),
        (towards, f"{block}s that speak for {positive} (orange)"),
        (against, f"{block}s that speak for {negative} (blue)"),
        (logit, f"their sum: the log-odds of {positive}"),
        (percent(probability), "the same as a calibrated probability (sigmoid)"),
        (label, f"the label{side}"),
    )


def evidence_scale(block: str, scale: float, clipped: int) -> str:
    beyond = (
        f" {counted(clipped, ('pixel lies', 'pixels lie'))} beyond it, drawn in full colour."
        if clipped
        else ""
    )
    return f"Full colour is \u00b1{number(scale)} {evidence_unit(block)}, the same on both sides of zero.{beyond}"


def evidence_resolution(block: str, size: int, height: int, width: int) -> str:
    given = f"{height} \u00d7 {width} pixels that the network was given"
    if block == PLACE:
        inside = f"The sum is taken inside the network, where a place is {size} \u00d7 {size} of the {given} or more: the map is no finer"
        return f"{inside}. It is the mean over copies of the image moved by up to two pixels, in noise where the network was trained in it. {EVIDENCE_CAVEAT}"
    what = f"sums {size} \u00d7 {size} of the {given}" if size > 1 else f"is one of the {given}"
    return f"Each block {what}, stretched to the image's shape, not smoothed. {EVIDENCE_CAVEAT}"


EVIDENCE_CAVEAT = "The map explains one decision of one model; it does not outline disease."


def evidence_alt(
    block: str, size: int, shape: tuple[int, int], sums: tuple[float, float, float]
) -> str:
    towards, against, largest = sums
    height, width = shape
    what = (
        f"Local evidence map, no finer than {size} by {size} pixels,"
        if block == PLACE
        else f"Evidence map of {height // size} by {width // size} {block}s"
    )
    return (
        f"{what} over the image. Contributions above zero sum to {fixed(towards)} "
        f"log-odds, those below to {fixed(against)}; the largest is {signed(largest)} in one {'pixel' if block == PLACE else block}."
    )


def native_alt(
    number_: int, shape: tuple[int, int], letters: tuple[str, str] | None, label: str | None
) -> str:
    sides = f", {letters[0]} at the left edge and {letters[1]} at the right edge" if letters else ""
    called = f"the model calls it {label}" if label else "no label given"
    return f"Image {number_} as stored, {shape[0]} rows by {shape[1]} columns{sides}; {called}."


def native_note(shown: tuple[int, int], full: tuple[int, int]) -> str:
    size = f"{full[0]} \u00d7 {full[1]} pixels (height \u00d7 width)"
    return (
        f"{size}, drawn at {shown[0]} \u00d7 {shown[1]}."
        if shown != full
        else f"{size}, drawn in full."
    )


def scale_note(spacing: tuple[float, float] | None, length: float | None) -> str:
    if spacing is None or length is None:
        return "No scale: the header gives no pixel spacing."
    stated = f"{number(spacing[0])} \u00d7 {number(spacing[1])} mm"
    return f"Scale bar {number(length, 2)} mm by the header's spacing ({stated}); not corrected for magnification."


def letters_note(letters: tuple[str, str] | None) -> str:
    return (
        "Letters from the header's patient orientation."
        if letters
        else "No L/R letters: the header gives no patient orientation."
    )


_SEEN = "What this model would need to see to answer {target}, decoded from its own features; not what {target} looks like."
MADE: dict[Method, str] = {
    "direction": _SEEN,
    "ascent": _SEEN,
    "transport": (
        "First changed as training images called {target} differ from the others, for an image like this one, then in the model's features until it answers "
        "{target}. The first part does not come from the model; neither shows what {target} would look like in this patient."
    ),
    "inpainting": (
        "The part of the image that speaks most for the answer given, and a margin around it, filled in until the model answers {target} more clearly than for a "
        "usual image, or as near to that as it came. The evidence chose the place, the model's answer how much of it; what is filled in is expected from the rest of "
        "this image and from training images labelled {target}. It is not known to be what lies underneath, and what the model did not use may be left."
    ),
    "brightening": (
        "The least round brightening, of the places and sizes that were tried, for which the model answers {target} as clearly as it mostly does. The model chose "
        "the place and the amount; the shape was given beforehand. It shows how little would do, not what {target} looks like, nor where to look for it."
    ),
}


def counterfactual_heading(target: str, valid: bool) -> str:
    return (
        f"What would have made the answer \u201c{target}\u201d"
        if valid
        else f"No counterfactual for \u201c{target}\u201d"
    )


def counterfactual_reading(target: str, flipped: bool, in_scope: bool, method: Method) -> str:
    if flipped and in_scope:
        return MADE[method].format(target=target)
    edited = f"The image was edited towards {target}, but the edited image is not "
    failed = ([] if flipped else [f"classified as {target}"]) + (
        [] if in_scope else ["an image of the model's kind by its likelihood"]
    )
    return edited + ", and not ".join(failed) + ". It is therefore not shown."


def counterfactual_recheck(target: str, flipped: bool, in_scope: bool) -> str:
    called = f"The counterfactual, stored and classified anew, is {'now' if flipped else 'not'} called {target}"
    return called + f", and its likelihood is {'in' if in_scope else 'out of'} scope."


def counterfactual_check(target: str, flipped: bool, logit: float) -> str:
    outcome = f"the answer is now {target}" if flipped else f"the answer does not become {target}"
    return f"Stored as 8\u2011bit grey levels and classified anew, it has log-odds {signed(logit)}: {outcome}."


def counterfactual_size(rms: float, changed: float, share: float) -> str:
    what = f"It differs from the input by {number(rms)} grey levels RMS, by more than {CHANGED} in {percent(changed)} of its pixels"
    return f"{what}; {percent(share)} of its pixels left the range 0 to 255 and were clipped."


def counterfactual_alt(target: str, rms: float) -> str:
    return f"Counterfactual for {target}, {number(rms)} grey levels RMS from the input; the re-check confirms the new answer."


def difference_alt(low: float, high: float, rms: float) -> str:
    return f"Counterfactual minus input: from {signed(low)} to {signed(high)} grey levels, RMS {number(rms)}. Green is brighter, purple darker."


DIFFERENCE_READING = (
    "Counterfactual minus input. Green is brighter (denser), purple darker; no colour is no change."
)


def difference_scale(scale: float, clipped: int) -> str:
    beyond = f"; {counted(clipped, ('pixel lies', 'pixels lie'))} beyond" if clipped else ""
    return f"Full colour is \u00b1{number(scale)} grey levels{beyond}."


def frame_name(index: int, count: int) -> str:
    return (
        INPUT
        if index == 0
        else COUNTERFACTUAL
        if index == count - 1
        else f"Step {index} of {count - 1}"
    )


def input_alt(height: int, width: int) -> str:
    return f"What the network was given: {height} by {width} grey levels."
