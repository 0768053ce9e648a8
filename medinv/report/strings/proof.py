"""Sentences of the proof: what was checked, and what came out."""

from collections import Counter

from medinv.report.strings.numbers import counted, number, percent, signed


def certificate(exact: bool, pixels: int, bits: int, error: float, dtype: str) -> str:
    verdict_words = (
        f"Exact: all {pixels:,} stored values came back"
        if exact
        else f"Not exact: not all of the {pixels:,} stored values came back"
    )
    return f"{verdict_words} after rounding ({bits} bit, arithmetic in {dtype}). Largest error before rounding: {number(error, 2)} grey levels."


def identity(positive: str) -> str:
    return (
        "For this image the network is one affine map: pixel contributions and a constant sum to the logit, "
        f"the calibrated log-odds of {positive}, whose sigmoid is the probability."
    )


IDENTITY_REFERENCE = "Contributions are counted from the mean grey level that the model subtracts: a pixel of that brightness carries nothing."


def cancellation(towards: float, against: float) -> str:
    """Claims that contributions cancel only where less than a tenth of their size is left."""
    left = towards + against
    if abs(left) < 0.1 * (towards - against):
        return f"Pixel contributions largely cancel: {signed(towards)} and {signed(against)} leave {signed(left)}."
    return f"Pixel contributions sum to {signed(towards)} and {signed(against)}, which leaves {signed(left)}."


IDENTITY_TERMS = (
    "Pixels above zero",
    "Pixels below zero",
    "Constant (no pixel carries it)",
    "Logit that the network computes",
    "Residual of the sum",
)


def decoded_alt(height: int, width: int, error: float) -> str:
    return f"What the features decode to: {height} by {width} grey levels, at most {number(error, 2)} from the input."


def error_alt(scale: float) -> str:
    return f"Error of the reconstruction: {f'at most {number(scale, 2)} grey levels in size' if scale else 'zero everywhere'}."


def error_note(scale: float) -> str:
    size = f"full colour is \u00b1{number(scale, 2)} grey levels" if scale else "zero everywhere"
    return f"Decoded minus input: {size}."


def trace_check(depths: int, exact: bool, error: float) -> str:
    outcome = (
        "gives every stored value of the input"
        if exact
        else "does not give every stored value of the input"
    )
    return f"Decoding from each of {depths} depths of the network {outcome}; the largest error before rounding is {number(error, 2)} grey levels."


def trace_condition(name: str, condition: float) -> str:
    return (
        f"The layer with the largest condition number at this image is {name}: {number(condition)}."
    )


STAGES_READING = "What each stage holds, decoded alone with all others at zero: the coarsest decides, the finer ones keep what the answer does not use."


def stage_note(values: int, total: int, energy: float, explained: float, decides: bool) -> str:
    head = "What decides: " if decides else ""
    with_coarser = "" if decides else "with all coarser ones "
    what = f"{with_coarser}it accounts for {percent(explained)} of the image's contrast"
    return f"{head}{values:,} of {total:,} numbers, {percent(energy)} of the features' squared length; {what}."


def stage_alt(name: str) -> str:
    return f"The image decoded from {name} alone."


TRACE_NONE = "The decoding from every depth was not made for this image."


def nearest_sentence(labels: tuple[str, ...], called: str, chance: float) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in Counter(labels).most_common())
    return f"The {len(labels)} training cases nearest by what decides are labelled: {listed}. Drawn by chance, {percent(chance)} would be {called}."


def nearest_distance(nearest: float, typical: tuple[float, float], valid: bool) -> str:
    """The whole answer where no case is near."""
    found = f"The nearest training case lies at {number(nearest)} standard deviations; for validation images this is {number(typical[0])} in the median"
    if valid:
        return f"{found} and up to {number(typical[1])} for 95\u00a0% of them."
    return f"{found} and above {number(typical[1])} for only 5\u00a0% of them: no training case is near enough to be called similar."


def nearest_note(recovered: float) -> str:
    return f"No image is kept: the best decoding tried recovers {percent(recovered)} of the pixels' variance from the numbers kept of each case."


NEAREST_NONE = "No similar cases are named: the model comes without an index of its training cases."


def controls_reading(target: str, flipping: tuple[str, ...], count: int) -> str:
    if not flipping:
        return f"None of {counted(count, ('other change', 'other changes'))} of the same size makes the answer {target}."
    listed = ", ".join(flipping)
    return f"Of {counted(count, ('other change', 'other changes'))} of the same size, these make the answer {target} too: {listed}."


LIKENESS_READING = "The same maps by networks that cannot know the answer. Near 1, a map does not depend on what it claims to explain."
CONTROLS_NONE = "No controls were run for this image."
SUBGROUPS_UNKNOWN = (
    "The model card gives no performance by subgroup (sex, age, device, site); none is known."
)
