"""Sentences about a study: its answer, its scope, its images, its place in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from medinv.report.strings.labels import (
    FAILED,
    FLAG_OUT_OF_SCOPE,
    IMAGES,
    OUT_OF_SCOPE,
    SKIPPED,
    TEST_IMAGES,
)
from medinv.report.strings.numbers import counted, edges, estimate, number, percent, signed

if TYPE_CHECKING:
    from medinv.analysis.result import Answer
    from medinv.metrics import Estimate, ObservedShare
    from medinv.report.derived import Uncertainty

NAMED, LISTED = 3, 10  # other classes told in the sentence; classes that have a bar
CALLED = "that they were called"  # of several classes, what an observed share is of
UNCERTAINTY_UNKNOWN = "The model card gives no interval for this probability."
UNCERTAINTY_SEVERAL = (
    "No interval is given: several images decided, and calibration was measured on single images."
)
OBSERVED_NONE = "No test image had a probability like this one."
OBSERVED_DIFFERS = "That is not what the probability says: read it with caution."
SCOPE_REFUSAL = (
    "The model was not made for an input like this one. "
    "Its label, its probability and its explanation are therefore withheld."
)


def headline(status: str, label: str | None) -> str:
    """The answer in a word, or that there is none."""
    without = {"failed": FAILED, "skipped": SKIPPED}.get(status)
    return without or (label_title(label) if label else OUT_OF_SCOPE)


def image_heading(number_: int, label: str | None, told: Answer | None) -> str:
    """An image's answer; without a label it is out of scope."""
    said = f", {probability_of(told.name)} {percent(told.probability)}" if told else ""
    return f"Image {number_}: {label or FLAG_OUT_OF_SCOPE}{said}"


def label_title(label: str) -> str:
    """A class as a title."""
    return label[:1].upper() + label[1:]


def probability_of(name: str) -> str:
    """What a probability is of."""
    return f"calibrated probability of {name}"


def answer_cell(told: Answer | None) -> str:
    """A probability in a table; empty where none may be told."""
    return f"{percent(told.probability)} {told.name}" if told else ""


def verdict(label: str, told: Answer, threshold: float | None, images: int) -> str:
    """The answer in a sentence, with its probability and those of the next classes."""
    what = "this image" if images == 1 else f"this study ({counted(images, IMAGES)})"
    side = ""
    if threshold is not None:
        where = "at or above" if told.probability >= threshold else "below"
        side = f", {where} the operating point of {percent(threshold)}"
    near, far = told.others[:NAMED], told.others[NAMED:]
    others = "".join(f", of {name} {percent(share)}" for name, share in near)
    if far:
        others += f", of {len(far)} others together {percent(sum(share for _, share in far))}"
    next_best = f"; the next likely class is {near[0][0]}" if near else ""
    return (
        f"The model calls {what} {label}{next_best}. The calibrated probability of {told.name} is "
        f"{percent(told.probability)}{side}{others}."
    )


def class_rows(told: Answer) -> tuple[tuple[str, float], ...]:
    """Classes with their probabilities, the one called first; beyond LISTED together."""
    near, far = told.others[: LISTED - 1], told.others[LISTED - 1 :]
    rest = ((f"{len(far)} other classes", sum(share for _, share in far)),) if far else ()
    return ((told.name, told.probability), *near, *rest)


def expected_grade(named: Mapping[str, float]) -> str:
    """Of ordered classes: the mean grade by probability, among the names at its ends."""
    names = list(named)
    grade = sum(k * share for k, share in enumerate(named.values()))
    return (
        f"The classes are grades: by all probabilities the expected grade is {number(grade, 2)}, "
        f"from 0 ({names[0]}) to {len(names) - 1} ({names[-1]})."
    )


def certainty(told: Answer, sure: Uncertainty | None, several: bool) -> tuple[str, ...]:
    """How sure the probability is, or why that is not known."""
    if sure is None:
        return (UNCERTAINTY_SEVERAL if several else UNCERTAINTY_UNKNOWN,)
    reading = uncertain_reading(sure.images, sure.patients)
    if sure.observed is None:
        return reading, OBSERVED_NONE
    differs = () if sure.observed_covers(told.probability) else (OBSERVED_DIFFERS,)
    of = CALLED if told.others else told.name
    return (reading, observed_share(of, sure.observed), *differs)


def uncertain(low: float, high: float) -> str:
    """Both ends, unless they are written alike."""
    ends = (
        f"{percent(low)} to {percent(high)}"
        if percent(low) != percent(high)
        else f"wholly {percent(low)}"
    )
    return f"95\u00a0% interval {ends}"


def uncertain_reading(images: int, patients: int) -> str:
    """What the interval means."""
    return (
        "The interval says how far the probability moves when the calibration is fitted again on "
        f"other patients (from {counted(images, IMAGES)} of {patients:,} patients); "
        "it does not cover images of another kind."
    )


def observed_share(name: str, seen: ObservedShare) -> str:
    """What test images with such a probability were."""
    share = seen.share
    return (
        f"Of {counted(share.n, TEST_IMAGES)} with a probability from {edges(seen.low, seen.high)}, "
        f"{round(share.value * share.n):,} ({percent(share.value)}; "
        f"95\u00a0% interval {percent(share.low)} to {percent(share.high)}) had the label {name}."
    )


def highest_of(images: int) -> str:
    """A caution: the highest of several is not one of them at random."""
    return (
        f"The probability is that of one of {counted(images, IMAGES)} in scope; "
        "calibration was measured image by image, not for the highest of several."
    )


def aggregation(rule: str) -> str:
    """How images decide for their study."""
    return f"How images decide: {rule}."


def called_from(name: str, threshold: float) -> str:
    """From where on a class is called, beside the mark on the bar."""
    return f"called {name} from {percent(threshold)}"


def operating_point(positive_class: str, threshold: float, chosen_on: str) -> str:
    """From where on the positive class is called."""
    return (
        f"It answers {positive_class} from {percent(threshold)} up. "
        f"This threshold was chosen on {chosen_on}."
    )


def operating_figures(sensitivity: Estimate, specificity: Estimate) -> str:
    """What the operating point gave on test images."""
    return (
        f"At this threshold the model card gives sensitivity {estimate(sensitivity)} and "
        f"specificity {estimate(specificity)}, with 95 % intervals."
    )


def bar_alt(
    name: str, probability: float, threshold: float | None, ends: tuple[float, float] | None
) -> str:
    """The bar for those who do not see it."""
    between = f", {uncertain(*ends)}" if ends else ""
    point = "" if threshold is None else f"; the operating point is drawn at {percent(threshold)}"
    return (
        f"Bar from 0 to 100 %: calibrated probability of {name} "
        f"{percent(probability)}{between}{point}."
    )


def scope_sentence(
    in_scope: bool, score: float | None, threshold: float | None, by: str | None
) -> str:
    """How far the image lies from the training images. by: what the model judges that by."""
    if score is None or threshold is None or by is None:
        return "This model cannot tell whether the image is of the kind that it was made for."
    what = f"{by.removesuffix('s')} score"
    return (
        f"{f'In scope: {what}' if in_scope else label_title(what)} {number(score)}, a distance "
        f"from the training images; images in scope reach {number(threshold)}."
    )


def other_reasons(reasons: Sequence[str], by: str | None) -> tuple[str, ...]:
    """Why an image lies out of scope, but for the score that `scope_sentence` tells: sentences."""
    others = (reason for reason in reasons if not reason.startswith(f"{by}:"))
    return tuple(warned(reason.removeprefix("layout: ")) for reason in others)


def reconstruction_check(exact: bool, bits: int, error: float) -> str:
    """Whether the network ran backwards to the image. error: grey levels."""
    if exact:
        return (
            f"The features decode back to every stored {bits}\u2011bit value. "
            f"Largest error before rounding: {number(error, 2)} grey levels."
        )
    return (
        f"The features do not decode back to every {bits}\u2011bit value. "
        f"Largest error: {number(error, 2)} grey levels. Distrust the explanation."
    )


def study_reconstruction(exact: bool, bits: int, error: float, images: int) -> str:
    """The same over all images of the study."""
    of = "" if images == 1 else f" for all {images} images together"
    return (
        f"Reconstruction{of}: {'exact' if exact else 'not exact'} at {bits} bit, "
        f"largest error before rounding {number(error, 2)} grey levels."
    )


def images_shown(shown: int, total: int, in_scope: bool) -> str:
    """Which images are drawn."""
    order = ", in scope and highest probability first" if in_scope else ""
    return f"{shown} of {counted(total, IMAGES)} drawn in full{order}; the table has all."


def label_contradicts(label: str | None, positive: float, threshold: float) -> str:
    """A label that the operating point does not give."""
    return (
        f"The label ({label}) and the operating point disagree: "
        f"probability {percent(positive)}, threshold {percent(threshold)}."
    )


def logit_contradicts(number_: int, logit: float, probability: float) -> str:
    """An explanation of another answer than the one reported."""
    return (
        f"Image {number_}: the log-odds explained ({signed(logit)}) are not those of the "
        f"probability reported ({percent(probability)})."
    )


def hash_contradicts(used: str, carded: str) -> str:
    """Weights that are not the card's."""
    return (
        f"The weights used ({used[:12]}\u2026) are not those of the model card "
        f"({carded[:12]}\u2026)."
    )


def warned(warning: str) -> str:
    """A warning of an image as a sentence."""
    return f"{label_title(warning)}."


def index_summary(studies: int, parts: Mapping[str, int]) -> str:
    """How many results of which outcome."""
    listed = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    results = counted(studies, ("result", "results")) or "No results"
    return f"{results}: {listed}." if listed else f"{results}."


def made_by(medinv_version: str) -> str:
    """Who made the page."""
    return f"medinv {medinv_version}"


def seconds_taken(seconds: float) -> str:
    """How long it took."""
    return f"Classified in {number(seconds, 2)} s."


def model_line(title: str, name: str, version: str) -> str:
    """A model in a line."""
    return f"{title} ({name}, version {version})"
