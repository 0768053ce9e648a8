"""Sentences about a study: its answer, its scope, its images, its place in a batch."""

from collections.abc import Mapping

from medinv.report.strings.labels import FAILED, IMAGES, OUT_OF_SCOPE, SKIPPED
from medinv.report.strings.numbers import counted, number, percent


def headline(status: str, label: str | None) -> str:
    return {"failed": FAILED, "skipped": SKIPPED}.get(status) or (label_title(label) if label else OUT_OF_SCOPE)


def image_heading(number_: int, label: str, positive_class: str | None, positive: float | None) -> str:
    probability = "" if positive_class is None or positive is None else f", {probability_of(positive_class)} {percent(positive)}"
    return f"Image {number_}: {label}{probability}"


def label_title(label: str) -> str:
    return label[:1].upper() + label[1:]


def probability_of(name: str) -> str:
    return f"calibrated probability of {name}"


def verdict(label: str, positive_class: str, positive: float, threshold: float | None, images: int) -> str:
    what = "this image" if images == 1 else f"this study ({counted(images, IMAGES)})"
    side = "" if threshold is None else f", {'at or above' if positive >= threshold else 'below'} the operating point of {percent(threshold)}"
    return f"The model calls {what} {label}. The calibrated probability of {positive_class} is {percent(positive)}{side}."


def operating_point(positive_class: str, threshold: float, chosen_on: str) -> str:
    return f"It answers {positive_class} from {percent(threshold)} up. This threshold was chosen on {chosen_on}."


def operating_figures(sensitivity: str | None, specificity: str | None) -> str:
    parts = [f"{name} {value}" for name, value in (("sensitivity", sensitivity), ("specificity", specificity)) if value]
    return f"At this threshold the model card gives {' and '.join(parts)}, with 95 % intervals." if parts else ""


def bar_alt(positive_class: str, positive: float, threshold: float | None) -> str:
    point = "" if threshold is None else f"; the operating point is drawn at {percent(threshold)}"
    return f"Bar from 0 to 100 %: calibrated probability of {positive_class} {percent(positive)}{point}."


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


def hash_contradicts(used: str, carded: str) -> str:
    return f"The weights used ({used[:12]}\u2026) are not those of the model card ({carded[:12]}\u2026)."


def index_summary(studies: int, parts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    return f"{counted(studies, ('result', 'results')) or 'No results'}" + (f": {listed}." if listed else ".")


def made_by(medinv_version: str) -> str:
    return f"medinv {medinv_version}"


def seconds_taken(seconds: float) -> str:
    return f"Classified in {number(seconds, 2)} s."


def model_line(title: str, name: str, version: str) -> str:
    return f"{title} ({name}, version {version})"
