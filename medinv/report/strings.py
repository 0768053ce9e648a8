"""Every word of the report, and how numbers are written in it. Another language is another module like this one.

Sentences are made from numbers that the content holds; none claims more than its arguments say. They are plain text: the renderer escapes them.
"""

from collections.abc import Mapping
from typing import Any

LANG = "en"

# What every result says
RESEARCH_USE = "Research use, not for diagnosis"
DISCLAIMER_LABEL = "The label is the output of a research model. It is not a finding, and it is not a substitute for a reading by a radiologist."
DISCLAIMER_COUNTERFACTUAL = (
    "A counterfactual shows what this model would need to see to answer otherwise. "
    "It does not show what a healthy patient, or this patient, looks like."
)

# Headings and labels
TITLE = "medinv report"
INDEX_TITLE = "medinv results"
STUDY, IMAGE, MODEL, NO_STUDY = "Study", "Image", "Model", "no study UID"
AT_A_GLANCE = "Checks of this result"
OUT_OF_SCOPE = "Out of scope"
NO_LABEL = "No label is given"
FAILED, SKIPPED = "Not classified: the study failed", "Not classified: the study was skipped"
WARNINGS, WARNING = "Warnings", "Warning"
NATIVE_HEADING = "The image"
EVIDENCE_BY_REGION, EVIDENCE_BY_PIXEL = "Evidence, region by region", "Evidence, pixel by pixel"
EVIDENCE_SLIDER = "Strength of the evidence overlay"
STEP_SLIDER = "Step from the input to the counterfactual"
COUNTERFACTUAL, INPUT, DIFFERENCE = "Counterfactual", "Network input", "Difference"
GIVEN, DECODED, ERROR = "Input", "Decoded", "Error"
STRIP_HEADING = "On the way"
DIFFERENCE_UNIT = "grey levels (of 255)"
DARKER, BRIGHTER = "darker", "brighter"
PROOF_HEADING = "The proof"
CERTIFICATE_HEADING = "Reconstruction certificate"
IDENTITY_HEADING = "Evidence identity"
MODEL_HEADING = "The model"
EXCLUDED_HEADING = "What was left out"
OTHER_HEADING = "All images of this study"
DISCLAIMERS_HEADING = "How to read this page"
LIMITS, NOT_TESTED, METRICS, CALIBRATION, INTAKE, SPLITS = "Limits", "Not tested on", "Measured", "Calibration", "Intake", "Split"
INTENDED_USE, TRAINED_ON, DATA_LICENCE, TASK, CLASSES = "Intended use", "Trained on", "Licence of the data", "Task", "Classes"
SCOPE, EXACTNESS = "Scope", "Reconstruction of test images"
ORIGIN = "How the weights came to be"
OPERATING_POINT = "operating point"
MEASURE, VALUE, INTERVAL, CASES = "Measure", "Value", "95 % interval", "Cases"
LABEL, PROBABILITY, FLAGS, REPORT = "Label", "Probability", "Flags", "Report"
STATUS, REASON, UID, STAGE = "Status", "Reason", "UID", "stage"
OPEN, NONE = "Open", "none"
FILTER_TEXT, FILTER_LABEL, ALL = "Find", "Show", "All"
FLAG_OUT_OF_SCOPE, FLAG_NOT_EXACT = "out of scope", "reconstruction not exact"
FLAG_OUTSIDE = ("image out of scope", "images out of scope")
FLAG_BROKEN = ("file could not be read", "files could not be read")
FLAG_SKIPPED = ("file skipped", "files skipped")
FLAG_WARNING = ("warning", "warnings")
IMAGES = ("image", "images")
YES, NO = "yes", "no"
EXCLUDED_NOTE = "File names are left out, since they may name a patient; the study's row in results.jsonl has them."
KINDS = {"broken": "could not be read", "skipped": "skipped"}

METRIC_NAMES = {"auc": "AUC", "accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity", "ece": "Calibration error (ECE)",
                "calibration_error": "Calibration error", "brier": "Brier score", "nll": "Negative log-likelihood"}  # fmt: skip
HASH_NAMES = {"weights_sha256": "Weights, SHA-256", "config_sha256": "Configuration, SHA-256", "data_sha256": "Training data, SHA-256"}
ORIGIN_NAMES = {"parameters": "Parameters", "convolutions": "Inverted convolutions",
                "largest_condition_number": "Largest condition number", "command": "Command", "commit": "Commit", "seed": "Seed",
                "device": "Device", "seconds": "Seconds of training"}  # fmt: skip
BANDS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


# Numbers
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """With a true minus sign; powers of ten where plain digits would be long."""
    if value == 0:
        return "0"
    power = int(f"{value:.{digits - 1}e}".split("e")[1])  # of the rounded value: 9.999 is written 10.0
    if -4 < power < 6:
        return f"{value:.{max(digits - 1 - power, 0)}f}".replace("-", "\u2212")
    mantissa, power_of_ten = f"{value:.1e}".split("e")
    return f"{mantissa}\u00a0\u00d7\u00a010{str(int(power_of_ten)).translate(_SUPERSCRIPTS)}".replace("-", "\u2212")


def signed(value: float, digits: int = 3) -> str:
    return ("+" if value > 0 else "") + number(value, digits)


def fixed(value: float) -> str:
    """Four decimals and a sign: terms of a sum are written alike."""
    return f"{value:+.4f}".replace("-", "\u2212")


def percent(share: float) -> str:
    """One decimal; never rounded to certainty."""
    if 0 < share < 0.0005:
        return "under 0.1\u00a0%"
    if 0.9995 <= share < 1:
        return "over 99.9\u00a0%"
    return f"{100 * share:.1f}\u00a0%"


def counted(count: int, words: tuple[str, str]) -> str:
    """The count with its noun in singular or plural; empty for none."""
    return f"{count:,} {words[count != 1]}" if count else ""


def plain(value: Any) -> str:
    """A card's value in words: numbers shortened, mappings and lists spelled out."""
    if isinstance(value, Mapping):
        if "value" in value:
            return interval(value["value"], value.get("low"), value.get("high"))
        return "; ".join(f"{key_words(key)}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return number(value, 4) if isinstance(value, float) else str(value)


def key_words(key: object) -> str:
    return str(key).replace("_", " ")


def interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def bounds(low: float, high: float) -> str:
    return f"{low:.3f} \u2013 {high:.3f}"


# Sentences
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


def certificate(exact: bool, pixels: int, bits: int, error: float, dtype: str) -> str:
    verdict_words = f"Exact: all {pixels:,} stored values came back" if exact else f"Not exact: not all of the {pixels:,} stored values came back"
    return f"{verdict_words} after rounding ({bits} bit, arithmetic in {dtype}). Largest error before rounding: {number(error, 2)} grey levels."


def evidence_check(residual: float) -> str:
    return f"Evidence and constant sum to the model's logit to within {number(residual, 2)}."


def evidence_unit(size: int) -> str:
    return f"log-odds per {_block(size)}"


def evidence_reading(size: int, positive: str, negative: str) -> str:
    block = _block(size)
    return f"Orange {block}s push the answer towards {positive}, blue {block}s towards {negative}; no colour is no contribution."


def evidence_place(size: int, place: tuple[int, int], largest: float, positive: str, negative: str) -> str:
    side = positive if largest > 0 else negative
    where = f"{BANDS[place[0]]} {COLUMNS[place[1]]}"
    return f"The {_block(size)} that weighs most lies in the {where} of the image as displayed: {signed(largest)}, towards {side}."


def evidence_sums(size: int, towards: float, against: float, bias: float, logit: float) -> str:
    block = _block(size)
    return (
        f"Orange {block}s ({fixed(towards)}), blue {block}s ({fixed(against)}) and a constant ({fixed(bias)}) "
        f"sum to the logit, {fixed(logit)}: the log-odds behind the probability."
    )


def evidence_scale(size: int, scale: float, clipped: int) -> str:
    beyond = f" {counted(clipped, ('pixel lies', 'pixels lie'))} beyond it, drawn in full colour." if clipped else ""
    return f"Full colour is \u00b1{number(scale)} {evidence_unit(size)}, the same on both sides of zero.{beyond}"


def evidence_resolution(size: int, height: int, width: int) -> str:
    given = f"{height} \u00d7 {width} pixels that the network was given"
    block = f"sums {size} \u00d7 {size} of the {given}" if size > 1 else f"is one of the {given}"
    return f"Each block {block}, stretched to the image's shape, not smoothed. {EVIDENCE_CAVEAT}"


EVIDENCE_CAVEAT = "The map explains one decision of one model; it does not outline disease."


def evidence_alt(size: int, height: int, width: int, sums: tuple[float, float, float]) -> str:
    towards, against, largest = sums
    return (
        f"Evidence map of {height // size} by {width // size} {_block(size)}s over the image. Contributions above zero sum to {fixed(towards)} "
        f"log-odds, those below to {fixed(against)}; the largest is {signed(largest)} in one {_block(size)}."
    )


def _block(size: int) -> str:
    return "region" if size > 1 else "pixel"


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


def native_alt(number_: int, shape: tuple[int, int], letters: tuple[str, str] | None, label: str | None) -> str:
    sides = f", {letters[0]} at the left edge and {letters[1]} at the right edge" if letters else ""
    called = f"the model calls it {label}" if label else "no label given"
    return f"Image {number_} as stored, {shape[0]} rows by {shape[1]} columns{sides}; {called}."


def native_note(shown: tuple[int, int], full: tuple[int, int]) -> str:
    size = f"{full[0]} \u00d7 {full[1]} pixels (height \u00d7 width)"
    return f"{size}, drawn at {shown[0]} \u00d7 {shown[1]}." if shown != full else f"{size}, drawn in full."


def scale_note(spacing: tuple[float, float] | None, length: float | None) -> str:
    if spacing is None or length is None:
        return "No scale: the header gives no pixel spacing."
    stated = f"{number(spacing[0])} \u00d7 {number(spacing[1])} mm"
    return f"Scale bar {number(length, 2)} mm by the header's spacing ({stated}); not corrected for magnification."


def letters_note(letters: tuple[str, str] | None) -> str:
    return "Letters from the header's patient orientation." if letters else "No L/R letters: the header gives no patient orientation."


def counterfactual_heading(target: str, valid: bool) -> str:
    return f"What would have made the answer \u201c{target}\u201d" if valid else f"No counterfactual for \u201c{target}\u201d"


def counterfactual_reading(target: str, flipped: bool, in_scope: bool) -> str:
    if flipped and in_scope:
        return f"What this model would need to see to answer {target}, decoded from its own features; not what {target} looks like."
    edited = f"The model's features were edited towards {target} and decoded, but the decoded image is not "
    failed = ([] if flipped else [f"classified as {target}"]) + ([] if in_scope else ["an image of the model's kind by its likelihood"])
    return edited + ", and not ".join(failed) + ". It is therefore not shown."


def counterfactual_recheck(target: str, flipped: bool, in_scope: bool) -> str:
    called = f"The counterfactual, stored and classified anew, is {'now' if flipped else 'not'} called {target}"
    return called + f", and its likelihood is {'in' if in_scope else 'out of'} scope."


def counterfactual_check(target: str, flipped: bool, logit: float) -> str:
    outcome = f"the answer is now {target}" if flipped else f"the answer does not become {target}"
    return f"Stored as 8\u2011bit grey levels and classified anew, it has log-odds {signed(logit)}: {outcome}."


def counterfactual_size(rms: float, share: float) -> str:
    return f"It differs from the input by {number(rms)} grey levels RMS; {percent(share)} of its pixels left the range 0 to 255 and were clipped."


def counterfactual_alt(target: str, rms: float) -> str:
    return f"Counterfactual for {target}, {number(rms)} grey levels RMS from the input; the re-check confirms the new answer."


def difference_alt(low: float, high: float, rms: float) -> str:
    return f"Counterfactual minus input: from {signed(low)} to {signed(high)} grey levels, RMS {number(rms)}. Green is brighter, purple darker."


DIFFERENCE_READING = "Counterfactual minus input. Green is brighter (denser), purple darker; no colour is no change."


def difference_scale(scale: float, clipped: int) -> str:
    beyond = f"; {counted(clipped, ('pixel lies', 'pixels lie'))} beyond" if clipped else ""
    return f"Full colour is \u00b1{number(scale)} grey levels{beyond}."


def frame_name(index: int, count: int) -> str:
    return INPUT if index == 0 else COUNTERFACTUAL if index == count - 1 else f"Step {index} of {count - 1}"


def input_alt(height: int, width: int) -> str:
    return f"What the network was given: {height} by {width} grey levels."


def decoded_alt(height: int, width: int, error: float) -> str:
    return f"What the features decode to: {height} by {width} grey levels, at most {number(error, 2)} from the input."


def error_alt(scale: float) -> str:
    return f"Error of the reconstruction: {f'at most {number(scale, 2)} grey levels in size' if scale else 'zero everywhere'}."


def error_note(scale: float) -> str:
    size = f"full colour is \u00b1{number(scale, 2)} grey levels" if scale else "zero everywhere"
    return f"Decoded minus input: {size}."


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
