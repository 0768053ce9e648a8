"""What follows from a result and a card.

Renderers compute nothing else, so that all of them say the same.
Numbers of images count from 1, in the order of the result.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np

from medinv.analysis.result import OUT_OF_SCOPE, Failure, ImageResult, SeriesResult, StudyResult
from medinv.explanation.result import Controls, Depth, Explanation, Trace
from medinv.metrics import ObservedShare
from medinv.models.card import Calibration, Card
from medinv.report import strings

MEDINV = version("medinv")
ASIDE = ("broken", "skipped")  # of a result, files that gave none
F = TypeVar("F", bound=Failure)
ADULT = 18  # years
LOGIT_TOLERANCE = 1e-6  # of a probability, between the one reported and the one explained
_OPPOSITE = str.maketrans("LRAPHF", "RLPAFH")
_ORIGIN = (
    "parameters",
    "convolutions",
    "largest_condition_number",
    "command",
    "commit",
    "seed",
    "device",
    "seconds",
)


class Contrast(NamedTuple):
    """The two classes between which evidence speaks."""

    towards: str  # for which contributions above zero speak
    against: str
    only: bool  # the model has no other classes


class Subject(NamedTuple):
    """What a model's images are of, in the words of its card."""

    region: str  # such as lungs; "region" where the model has none by name
    person: str  # child or patient
    images: str


class Balance(NamedTuple):
    """An evidence map in sums.

    towards + against + bias = logit, to the residual, for pixels as for regions.
    """

    towards: float  # sum of the contributions above zero
    against: float  # sum of those below
    largest: float  # the contribution of largest size, with its sign
    # row and column (0, 1, 2) of the ninth of the image, or slice, in which its centre lies; of a
    # region's extent, and there to the left (0) or right (2) of its middle
    ninth: tuple[int, int]


class Level(NamedTuple):
    """The layers of one level of the trunk, taken together."""

    name: str
    layers: int
    goes_on: int  # numbers
    max_abs_error: float  # grey levels, the largest of the level's depths
    condition_number: float  # the largest of the level's layers


@dataclass(frozen=True)
class Uncertainty:
    """The 95 % interval of one image's probability, and what was observed of images like it."""

    low: float  # calibrated probability
    high: float
    images: int  # that the calibration was fitted on
    patients: int
    observed: ObservedShare | None  # of test images; None where none had such a probability

    def observed_covers(self, probability: float) -> bool | None:
        """Whether the observed share and the probability fit; None where none was observed."""
        if self.observed is None:
            return None
        share = self.observed.share
        return share.low <= probability <= share.high or self.low <= share.value <= self.high


def presented(result: StudyResult) -> StudyResult:
    """The result without what may not be shown: probabilities and explanations out of scope, and
    names of files, which may name a patient.

    Every renderer begins with it. Presenting a presented result changes nothing.
    """
    withheld: dict[str, Any] = {"label": OUT_OF_SCOPE, "probabilities": {}, "explanation": None}
    images = tuple(
        image if inside(image) else image.model_copy(update=withheld) for image in result.instances
    )
    series = tuple(
        one if one.label != OUT_OF_SCOPE else one.model_copy(update={"probabilities": None})
        for one in result.series
    )
    said: dict[str, Any] = {} if result.in_scope else {"probabilities": None}
    said |= {kind: tuple(_unnamed(one, result) for one in getattr(result, kind)) for kind in ASIDE}
    if result.error:
        said["error"] = _unnamed(result.error, result)
    return result.model_copy(update={"instances": images, "series": series, **said})


def _unnamed(failure: F, result: StudyResult) -> F:
    """Without the names of the study's files in what it says."""
    files = [one.source for one in (*result.broken, *result.skipped)]
    files += [image.path for image in result.instances]
    message = failure.message
    for name in sorted(filter(None, files), key=len, reverse=True):
        message = message.replace(name, "another file")
    return failure.model_copy(update={"message": message})


def inside(image: ImageResult) -> bool:
    """The image is in the model's scope."""
    return image.scope.in_scope and image.in_scope


def contrast(image: ImageResult, card: Card) -> Contrast:
    """Of two classes the second against the first, of more the one called against the target."""
    if len(card.classes) == 2:
        return Contrast(card.classes[1], card.classes[0], True)
    return Contrast(image.label, explained(image).counterfactual.target, False)


def subject(card: Card) -> Subject:
    """A model that is shown children alone has the lungs of another child, not of a patient."""
    compose = card.config.train.compose
    age = card.selection.age if card.selection else None
    children = age is not None and age[1] <= ADULT
    return Subject(
        compose.region if compose and compose.region else strings.REGION,
        strings.CHILD if children else strings.PATIENT,
        strings.IMAGES[1],
    )


def judged_by(card: Card) -> str | None:
    """What the scope looks at, in a word; None of a model that has none."""
    return card.config.model.judged_by if card.scope else None


def probability_subject(card: Card) -> str:
    """What the probability is of that observed shares are told by."""
    return card.classes[1] if len(card.classes) == 2 else strings.THE_CLASS_CALLED


def explained(image: ImageResult) -> Explanation:
    """The image's explanation, for what is only said of explained images.

    Raises ValueError where there is none.
    """
    if image.explanation is None:
        raise ValueError(f"image {image.name}: expected an explanation, got none; explain it first")
    return image.explanation


def ranked(result: StudyResult) -> tuple[tuple[int, ImageResult], ...]:
    """Images in scope first, then by falling probability of the study's answer, with numbers."""
    told = result.answer
    numbered = enumerate(result.instances, start=1)

    def rank(item: tuple[int, ImageResult]) -> tuple[bool, float]:
        _, image = item
        return not inside(image), -(image.probabilities.get(told.name, 0.0) if told else 0.0)

    return tuple(sorted(numbered, key=rank))


def numbers(result: StudyResult, series: SeriesResult) -> tuple[int, ...]:
    """Numbers of the images that decided a series."""
    names = {image.name for image in series.deciding}
    counted = enumerate(result.instances, start=1)
    return tuple(number for number, image in counted if image.name in names)


def in_scope_count(result: StudyResult) -> int:
    """Images in scope."""
    return sum(inside(image) for image in result.instances)


def _same(result: StudyResult) -> list[ImageResult]:
    """The images in scope whose probabilities are the study's."""
    images = [image for image in result.instances if inside(image)]
    return [image for image in images if image.probabilities == result.probabilities]


def several_decide(result: StudyResult) -> bool:
    """The study's probability is that of no single image."""
    return in_scope_count(result) > 1 and not _same(result)


def study_uncertainty(result: StudyResult, card: Card) -> Uncertainty | None:
    """That of the one image whose probability is the study's.

    None where several decided, of which no calibration was measured.
    """
    same = _same(result)
    return image_uncertainty(same[0], card) if same else None


def image_uncertainty(image: ImageResult, card: Card) -> Uncertainty | None:
    """That of the probability quoted; None out of scope and where the card holds no interval."""
    told = image.answer
    if told is None:
        return None
    if told.others:
        return class_uncertainty(card.calibration, image.probabilities, told.name)
    return uncertainty(card.calibration, told.probability)


def class_uncertainty(
    calibration: Calibration, probabilities: Mapping[str, float], called: str
) -> Uncertainty | None:
    """Of more than two classes: how the probability of the class called moves with the fit.

    Its logits are the log-probabilities, to a constant; each other fit of the card is applied to
    them. None where the card holds none.
    """
    fits, counts = calibration.refits, calibration.refitted_on
    if not fits or counts is None:
        return None
    logs = np.log(np.maximum(np.array(list(probabilities.values())), 1e-300))
    moved = np.array([fit[0] * logs + np.array(fit[1:]) for fit in fits])
    moved = np.exp(moved - moved.max(1, keepdims=True))
    shares = (moved / moved.sum(1, keepdims=True))[:, list(probabilities).index(called)]
    low, high = np.percentile(shares, [2.5, 97.5])
    here = probabilities[called]
    alike = (one for one in calibration.observed if _holds(one, here))
    return Uncertainty(min(float(low), here), max(float(high), here), *counts, next(alike, None))


def uncertainty(calibration: Calibration, probability: float) -> Uncertainty | None:
    """From a card's calibration; None where the card holds no interval.

    The bounds are kept as log-odds at given log-odds and interpolated between them; beyond the
    last they move on alike.
    """
    fit = calibration.interval
    if fit is None:
        return None
    certain = min(max(probability, 1e-12), 1 - 1e-12)
    odds = math.log(certain / (1 - certain))
    within = min(max(odds, fit.log_odds[0]), fit.log_odds[-1])
    low, high = (
        sigmoid(float(np.interp(within, fit.log_odds, bounds)) + odds - within)
        for bounds in (fit.low, fit.high)
    )
    alike = (one for one in calibration.observed if _holds(one, probability))
    return Uncertainty(
        min(low, probability), max(high, probability), fit.images, fit.patients, next(alike, None)
    )


def _holds(share: ObservedShare, probability: float) -> bool:
    return share.low <= probability < share.high or probability == share.high == 1


def balance(contributions: np.ndarray, region: np.ndarray | None = None) -> Balance:
    """Sums of an evidence map (*size), of pixels or of regions, and its largest contribution.

    region (*size) bool: what the largest contribution's place is told of, instead of the image.
    """
    values = np.asarray(contributions, dtype=float)
    at = tuple(map(int, np.unravel_index(int(np.abs(values).argmax()), values.shape)))
    above, below = values[values > 0].sum(), values[values < 0].sum()
    return Balance(float(above), float(below), float(values[at]), _ninth(at[-2:], values, region))


def _ninth(at: Sequence[int], values: np.ndarray, region: np.ndarray | None) -> tuple[int, int]:
    """Of a place `at` in the last two axes; of a region the outline, whatever its slices."""
    plane = np.ones(values.shape[-2:], bool)
    within = plane if region is None else np.any(region.reshape(-1, *plane.shape), axis=0)
    within = within if within.any() else plane
    shares = []
    for place, lines in zip(at, map(np.flatnonzero, (within.any(1), within.any(0))), strict=True):
        share = (place + 0.5 - lines[0]) / (lines[-1] + 1 - lines[0])
        shares.append(min(max(share, 0.0), 1 - 1e-9))
    row, column = shares
    return int(3 * row), int(3 * column) if region is None else 2 * int(2 * column)


def warnings(result: StudyResult, card: Card) -> tuple[str, ...]:
    """The result's own, and facts that do not fit each other: said, not smoothed over."""
    messages = list(result.warnings)
    point, told = card.operating_point, result.answer
    if point and told and (told.probability >= point.threshold) != (result.label == told.name):
        messages.append(strings.label_contradicts(result.label, told.probability, point.threshold))
    for number, image in enumerate(result.instances, start=1):
        if image.explanation is None or not inside(image):
            continue
        logit, two = image.explanation.evidence.logit, contrast(image, card)
        towards, against = (image.probabilities[name] for name in two[:2])
        if abs(sigmoid(logit) * (towards + against) - towards) > LOGIT_TOLERANCE:
            messages.append(strings.logit_contradicts(number, logit, towards))
    if result.model.sha256 != card.weights_sha256:
        messages.append(strings.hash_contradicts(result.model.sha256, card.weights_sha256))
    return tuple(messages)


def hashes(result: StudyResult, card: Card) -> dict[str, str]:
    """Of the weights that gave the result, and of what they were made from."""
    return {
        "weights_sha256": result.model.sha256,
        "config_sha256": card.config_sha256,
        "data_sha256": card.data_sha256,
    }


def origin(card: Card) -> dict[str, Any]:
    """How the weights came to be: seed, command, ..., where the card says it."""
    values = card.model_dump(mode="json", include=set(_ORIGIN))
    return {key: values[key] for key in _ORIGIN if values[key] is not None}


def calibration_fit(card: Card) -> dict[str, Any]:
    """The calibration without its tables, which are told by themselves."""
    tables = {"interval", "observed", "refits", "refitted_on"}
    return card.calibration.model_dump(mode="json", exclude=tables)


def levels(trace: Trace) -> tuple[Level, ...]:
    """The depths by level, in order; the depths' names begin with their level."""
    named = groupby(trace.depths, key=lambda depth: depth.name.split(", ")[0])
    return tuple(_level(name, list(depths)) for name, depths in named)


def _level(name: str, depths: Sequence[Depth]) -> Level:
    return Level(
        name,
        len(depths),
        math.prod(depths[-1].shape),
        max(depth.max_abs_error for depth in depths),
        max(depth.condition_number for depth in depths),
    )


def worst(trace: Trace) -> Depth:
    """The layer of the largest condition number."""
    return max(trace.depths, key=lambda depth: depth.condition_number)


def flipping(controls: Controls) -> tuple[str, ...]:
    """Names of the controls that change the answer too."""
    return tuple(control.name for control in controls.changes if control.flipped)


def intake(image: ImageResult, card: Card) -> str:
    """What was done between the file and the network that explains the image, in words."""
    frame = image.pixels
    return f"{frame.policy}; {frame.intake or card.intake}" if frame else image.intake


def edge_letters(orientation: Sequence[str] | None) -> tuple[str, str] | None:
    """Letters at the left and right edge from DICOM PatientOrientation; None where it is absent.

    Its first value says where the rows run to.
    """
    towards = str(orientation[0]).upper() if orientation else ""
    if not towards or not set(towards) <= set("LRAPHF"):
        return None
    return towards.translate(_OPPOSITE), towards


def sigmoid(odds: float) -> float:
    """The probability of log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))
