"""What a report says of one study, free of any format.

Made once from the results row, the images and the model card, so that every renderer shows the same facts. No path and no patient identifier is
taken over: images are known by their (pseudonymised) UID. For images out of the model's scope the label, the probabilities and the explanation
are dropped here, so that no renderer can show them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from medinv.data.dicom.orientation import STORED, Turn
from medinv.errors import ShapeError
from medinv.explanation.result import Explanation
from medinv.report import strings
from medinv.report.background import Background
from medinv.report.model_facts import CardLike, ModelFacts, model_facts
from medinv.report.uncertainty import Uncertainty, uncertainty

OUT_OF_SCOPE = "out of scope"
_OPPOSITE = str.maketrans("LRAPHF", "RLPAFH")


@dataclass(frozen=True)
class ImageArrays:
    """What the report draws of one image. Raises ShapeError when the arrays are not what is said here."""

    display: np.ndarray  # (H, W) uint8, as a radiologist expects to see it
    aspect: float  # height of a stored pixel over its width
    spacing: tuple[float, float] | None  # mm between rows, between columns
    laterality: (
        tuple[str, str] | None
    )  # letters at the image's left and right edge, such as ("R", "L")
    network_input: np.ndarray  # (h, w) uint8, what the network was given
    explanation: Explanation | None  # None for an image out of scope
    intake: str  # what was done between the file and the network, in words
    background: Background = Background()
    turn: Turn = STORED  # from pixels as stored, to which DICOM results refer, to those drawn here

    def __post_init__(self) -> None:
        for name in ("display", "network_input"):
            array = getattr(self, name)
            if array.ndim != 2 or array.dtype != np.uint8 or array.size == 0:
                raise ShapeError(
                    f"{name}: expected a (H, W) uint8 image, got {array.dtype} {array.shape}; convert it to grey levels 0..255 first"
                )
        if not self.aspect > 0:
            raise ShapeError(
                f"aspect: expected pixel height over width above 0, got {self.aspect}; use 1.0 where the header says nothing"
            )
        expected = self.network_input.shape
        came = (
            expected if self.explanation is None else self.explanation.evidence.contributions.shape
        )
        if came != expected:
            raise ShapeError(
                f"explanation: expected maps of the network input's shape {expected}, got {came}; explain this very input"
            )


@dataclass(frozen=True)
class Scope:
    """Whether the model's likelihood and the header place the image among those that the model was made for."""

    in_scope: bool
    score: float | None
    threshold: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """Why a study or a file gave no result."""

    uid: str | None
    stage: str | None
    code: str
    message: str


@dataclass(frozen=True)
class StudyReconstruction:
    """The round trip over all images of the study."""

    exact: bool
    bits: int
    max_abs_error: float


@dataclass(frozen=True)
class ImageContent:
    """One image: no label and no probabilities when it is out of scope; no arrays when the caller gave none."""

    number: int  # from 1, in the order of the results row
    sop_uid: str
    frame: int | None  # from 1, of an image of several frames
    series_uid: str | None
    label: str | None
    probabilities: tuple[tuple[str, float], ...]
    uncertainty: Uncertainty | None
    scope: Scope
    stored_sha256: str | None  # of the pixels as stored
    warnings: tuple[str, ...]
    arrays: ImageArrays | None

    @property
    def positive(self) -> float | None:
        """Calibrated probability of the positive class."""
        return self.probabilities[1][1] if len(self.probabilities) > 1 else None

    @property
    def name(self) -> str:
        """Its UID, with the number of the frame where it has one."""
        return image_name(self.sop_uid, self.frame)


@dataclass(frozen=True)
class SeriesContent:
    """What the images of one series come to."""

    series_uid: str | None
    images: int
    in_scope: int
    label: str | None
    positive: float | None
    deciding: tuple[int, ...]  # numbers of the images that decided


@dataclass(frozen=True)
class StudyContent:
    """One study as one model sees it."""

    medinv_version: str
    model: ModelFacts
    study_uid: str | None
    status: str  # ok | failed | skipped
    in_scope: bool
    label: str | None
    probabilities: tuple[tuple[str, float], ...]
    images: tuple[ImageContent, ...]
    series: tuple[SeriesContent, ...]
    aggregation: str | None  # how images decide the study, in words
    reconstruction: StudyReconstruction | None
    error: Problem | None
    skipped: tuple[Problem, ...]
    broken: tuple[Problem, ...]
    warnings: tuple[str, ...]
    disclaimers: tuple[str, ...]
    seconds: float | None

    @property
    def positive(self) -> float | None:
        """Calibrated probability of the positive class."""
        return self.probabilities[1][1] if len(self.probabilities) > 1 else None

    @property
    def uncertainty(self) -> Uncertainty | None:
        """That of the one image whose probability is the study's; None where several decided, of which no calibration was measured."""
        alike = [
            image
            for image in self.images
            if image.positive is not None and image.positive == self.positive
        ]
        return alike[0].uncertainty if alike else None

    @property
    def inside(self) -> int:
        """Images in scope."""
        return sum(image.scope.in_scope for image in self.images)

    @property
    def several(self) -> bool:
        """The study's probability is that of no single image."""
        return self.inside > 1 and all(image.positive != self.positive for image in self.images)

    def ranked(self) -> tuple[ImageContent, ...]:
        """Images that can be shown: in scope first, then by falling probability of the positive class, then as in the row."""
        shown = [image for image in self.images if image.arrays is not None]
        return tuple(
            sorted(shown, key=lambda image: (not image.scope.in_scope, -(image.positive or 0.0)))
        )


@dataclass(frozen=True)
class Balance:
    """An evidence map in sums: towards + against + bias = logit, to the residual, for pixels as for regions."""

    towards: float  # sum of the contributions above zero
    against: float  # sum of those below
    largest: float  # the contribution of largest size, with its sign
    place: tuple[
        int, int
    ]  # row and column (0, 1, 2) of the ninth of the image in which the centre of the largest lies


def image_name(sop_uid: str, frame: int | None) -> str:
    """The key of an image among the arrays of `study_content`."""
    return sop_uid if frame is None else f"{sop_uid} frame {frame}"


def balance(contributions: np.ndarray) -> Balance:
    """Sums of an evidence map (H, W), of pixels or of regions, over its signs, and its largest contribution."""
    values = np.asarray(contributions, dtype=float)
    row, column = (
        int(index) for index in np.unravel_index(int(np.abs(values).argmax()), values.shape)
    )
    place = int(3 * (row + 0.5) / values.shape[0]), int(3 * (column + 0.5) / values.shape[1])
    return Balance(
        float(values[values > 0].sum()),
        float(values[values < 0].sum()),
        float(values[row, column]),
        place,
    )


def edge_letters(orientation: Sequence[str] | None) -> tuple[str, str] | None:
    """Letters at the left and right edge from DICOM PatientOrientation, whose first value says where the rows run to; None where it is absent."""
    towards = str(orientation[0]).upper() if orientation else ""
    return (
        (towards.translate(_OPPOSITE), towards)
        if towards and set(towards) <= set("LRAPHF")
        else None
    )


def study_content(
    row: Mapping[str, Any], images: Mapping[str, ImageArrays], card: CardLike
) -> StudyContent:
    """Gather one study's facts.

    row: the study's results row, as in results.jsonl; `probabilities` map class to calibrated probability, or list them in the card's order;
    optional `skipped` and `broken` list files with `sop_uid`, `stage`, `code` and `message`.
    images: arrays by `image_name`, which is the row's `sop_uid` but for frames; images without arrays are listed, not drawn.
    """
    model = model_facts(card, (row.get("model") or {}).get("sha256"))
    shown = tuple(
        _image(number, instance, images, model)
        for number, instance in enumerate(row.get("instances") or (), start=1)
    )
    in_scope = row.get("label") not in (None, OUT_OF_SCOPE)
    probabilities = _probabilities(row.get("probabilities"), model.classes) if in_scope else ()
    error = row.get("error")
    found = row.get("reconstruction")
    content = StudyContent(
        medinv_version=version("medinv"),
        model=model,
        study_uid=row.get("study_uid"),
        status=row["status"],
        in_scope=in_scope,
        label=row["label"] if in_scope else None,
        probabilities=probabilities,
        images=shown,
        series=tuple(_series(one, shown, model.classes) for one in row.get("series") or ()),
        aggregation=row.get("aggregation"),
        reconstruction=StudyReconstruction(
            bool(found["exact"]), int(found["bits"]), float(found["max_abs_error"])
        )
        if found
        else None,
        error=_problem(error) if error else None,
        skipped=tuple(_problem(item) for item in row.get("skipped") or ()),
        broken=tuple(_problem(item) for item in row.get("broken") or ()),
        warnings=tuple(str(warning) for warning in row.get("warnings") or ()),
        disclaimers=(
            strings.RESEARCH_USE,
            strings.DISCLAIMER_LABEL,
            strings.DISCLAIMER_COUNTERFACTUAL,
        ),
        seconds=row.get("seconds"),
    )
    return replace(
        content,
        warnings=content.warnings
        + _contradictions(content, card.model_dump().get("weights_sha256")),
    )


def _contradictions(content: StudyContent, carded: str | None) -> tuple[str, ...]:
    """Facts that do not fit each other are said, not smoothed over."""
    found = []
    point, positive = content.model.operating_point, content.positive
    if (
        point
        and positive is not None
        and (positive >= point.threshold) != (content.label == content.model.classes[1])
    ):
        found.append(strings.label_contradicts(content.label, positive, point.threshold))
    for image in content.images:
        explanation = image.arrays.explanation if image.arrays else None
        if (
            explanation
            and image.positive is not None
            and abs(_sigmoid(explanation.evidence.logit) - image.positive) > 1e-6
        ):
            found.append(
                strings.logit_contradicts(image.number, explanation.evidence.logit, image.positive)
            )
    used = dict(content.model.hashes).get("weights_sha256")
    if used and carded and used != carded:
        found.append(strings.hash_contradicts(used, carded))
    return tuple(found)


def _image(
    number: int, instance: Mapping[str, Any], images: Mapping[str, ImageArrays], model: ModelFacts
) -> ImageContent:
    given = instance.get("scope") or {}
    in_scope = bool(given.get("in_scope", True)) and instance.get("label") != OUT_OF_SCOPE
    frame, named = (
        instance.get("frame"),
        _probabilities(instance.get("probabilities"), model.classes) if in_scope else (),
    )
    arrays = images.get(image_name(instance["sop_uid"], frame))
    return ImageContent(
        number=number,
        sop_uid=str(instance["sop_uid"]),
        frame=frame,
        series_uid=instance.get("series_uid"),
        label=instance.get("label") if in_scope else None,
        probabilities=named,
        uncertainty=uncertainty(model.calibration, named[1][1]) if len(named) > 1 else None,
        scope=Scope(
            in_scope,
            given.get("score"),
            given.get("threshold"),
            tuple(str(reason) for reason in given.get("reasons") or ()),
        ),
        stored_sha256=instance.get("stored_sha256"),
        warnings=tuple(str(warning) for warning in instance.get("warnings") or ()),
        arrays=arrays
        if arrays is None or in_scope
        else replace(arrays, explanation=None, background=Background()),
    )


def _series(
    given: Mapping[str, Any], images: Sequence[ImageContent], classes: Sequence[str]
) -> SeriesContent:
    named = _probabilities(given.get("probabilities"), classes)
    decided = {image_name(one["sop_uid"], one.get("frame")) for one in given.get("deciding") or ()}
    return SeriesContent(
        series_uid=given.get("series_uid"),
        images=given["images"],
        in_scope=given["in_scope"],
        label=given["label"] if named else None,
        positive=named[1][1] if named else None,
        deciding=tuple(image.number for image in images if image.name in decided),
    )


def _probabilities(
    given: Mapping[str, float] | Sequence[float] | None, classes: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    if not given:
        return ()
    by_name = given if isinstance(given, Mapping) else dict(zip(classes, given, strict=True))
    return tuple((name, float(by_name[name])) for name in classes)


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def _problem(given: Mapping[str, Any]) -> Problem:
    return Problem(
        given.get("sop_uid"),
        given.get("stage"),
        str(given.get("code", "")),
        str(given.get("message", "")),
    )
