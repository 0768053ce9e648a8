"""Sentences about a study: its answer, its scope, its images, its place in a batch."""

from collections.abc import Mapping

from medinv.report.strings.labels import FAILED, IMAGES, OUT_OF_SCOPE, SKIPPED, TEST_IMAGES
from medinv.report.strings.numbers import counted, edges, number, percent, signed


def headline(status: str, label: str | None) -> str:
    return {"failed": FAILED, "skipped": SKIPPED}.get(status) or (
        label_title(label) if label else OUT_OF_SCOPE
    )


def image_heading(
    number_: int, label: str, positive_class: str | None, positive: float | None
) -> str:
    probability = (
        ""
        if positive_class is None or positive is None
        else f", {probability_of(positive_class)} {percent(positive)}"
    )
    return f"Image {number_}: {label}{probability}"


def label_title(label: str) -> str:
    return label[:1].upper() + label[1:]


def probability_of(name: str) -> str:
    return f"calibrated probability of {name}"


def verdict(
    label: str, positive_class: str, positive: float, threshold: float | None, images: int
) -> str:
    what = "this image" if images == 1 else f"this study ({counted(images, IMAGES)})"
    side = (
        ""
        if threshold is None
        else f", {'at or above' if positive >= threshold else 'below'} the operating point of {percent(threshold)}"
    )
    return f"The model calls {what} {label}. The calibrated probability of {positive_class} is {percent(positive)}{side}."


def uncertain(low: float, high: float) -> str:
    """Both ends, unless they are written alike."""
    ends = (
        f"{percent(low)} to {percent(high)}"
        if percent(low) != percent(high)
        else f"wholly {percent(low)}"
    )
    return f"95\u00a0% interval {ends}"


def uncertain_reading(images: int, patients: int) -> str:
    return (
        "The interval says how far the probability moves when the calibration is fitted again on other patients "
        f"(from {counted(images, IMAGES)} of {patients:,} patients); it does not cover images of another kind."
    )


UNCERTAINTY_UNKNOWN = "The model card gives no interval for this probability."
UNCERTAINTY_SEVERAL = (
    "No interval is given: several images decided, and calibration was measured on single images."
)


def observed_share(
    name: str, between: tuple[float, float], share: tuple[float, float, float], images: int
) -> str:
    """share: its value and its bounds."""
    value, low, high = share
    return (
        f"Of {counted(images, TEST_IMAGES)} with a probability from {edges(*between)}, {round(value * images):,} "
        f"({percent(value)}; 95\u00a0% interval {percent(low)} to {percent(high)}) had the label {name}."
    )


OBSERVED_NONE = "No test image had a probability like this one."
OBSERVED_DIFFERS = "That is not what the probability says: read it with caution."


def highest_of(images: int) -> str:
    return f"The probability is that of one of {counted(images, IMAGES)} in scope; calibration was measured image by image, not for the highest of several."


def aggregation(rule: str) -> str:
    return f"How images decide: {rule}."


def operating_point(positive_class: str, threshold: float, chosen_on: str) -> str:
    return f"It answers {positive_class} from {percent(threshold)} up. This threshold was chosen on {chosen_on}."


def operating_figures(sensitivity: str | None, specificity: str | None) -> str:
    parts = [
        f"{name} {value}"
        for name, value in (("sensitivity", sensitivity), ("specificity", specificity))
        if value
    ]
    return (
        f"At this threshold the model card gives {' and '.join(parts)}, with 95 % intervals."
        if parts
        else ""
    )


def bar_alt(
    positive_class: str,
    positive: float,
    threshold: float | None,
    bounds: tuple[float, float] | None,
) -> str:
    between = f", {uncertain(*bounds)}" if bounds else ""
    point = "" if threshold is None else f"; the operating point is drawn at {percent(threshold)}"
    return f"Bar from 0 to 100 %: calibrated probability of {positive_class} {percent(positive)}{between}{point}."


def scope_sentence(in_scope: bool, score: float | None, threshold: float | None) -> str:
    if score is None or threshold is None:
        return ""
    reach = f"images in scope reach {number(threshold)}"
    return f"{'In scope: l' if in_scope else 'L'}ikelihood score {number(score)}, a distance from the training images; {reach}."


SCOPE_REFUSAL = "The model was not made for an input like this one. Its label, its probability and its explanation are therefore withheld."


def reconstruction_check(exact: bool, bits: int, error: float) -> str:
    if exact:
        return f"The features decode back to every stored {bits}\u2011bit value. Largest error before rounding: {number(error, 2)} grey levels."
    return f"The features do not decode back to every {bits}\u2011bit value. Largest error: {number(error, 2)} grey levels. Distrust the explanation."


def study_reconstruction(exact: bool, bits: int, error: float, images: int) -> str:
    of = "" if images == 1 else f" for all {images} images together"
    return f"Reconstruction{of}: {'exact' if exact else 'not exact'} at {bits} bit, largest error before rounding {number(error, 2)} grey levels."


def images_shown(shown: int, total: int, in_scope: bool) -> str:
    order = ", in scope and highest probability first" if in_scope else ""
    return f"{shown} of {counted(total, IMAGES)} drawn in full{order}; the table has all."


def label_contradicts(label: str | None, positive: float, threshold: float) -> str:
    return f"The label ({label}) and the operating point disagree: probability {percent(positive)}, threshold {percent(threshold)}."


def logit_contradicts(number_: int, logit: float, positive: float) -> str:
    return f"Image {number_}: the log-odds explained ({signed(logit)}) are not those of the probability reported ({percent(positive)})."


def hash_contradicts(used: str, carded: str) -> str:
    return f"The weights used ({used[:12]}\u2026) are not those of the model card ({carded[:12]}\u2026)."


def index_summary(studies: int, parts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    return f"{counted(studies, ('result', 'results')) or 'No results'}" + (
        f": {listed}." if listed else "."
    )


def made_by(medinv_version: str) -> str:
    return f"medinv {medinv_version}"


def seconds_taken(seconds: float) -> str:
    return f"Classified in {number(seconds, 2)} s."


def model_line(title: str, name: str, version: str) -> str:
    return f"{title} ({name}, version {version})"
