"""What a model says of an image and of a study: the values that travel to every file written.

The JSON of a `StudyResult` is a line of results.jsonl. `schema` names its layout: additions keep
the name, any other change raises its number. What is marked as not filed (pixels, explanations)
travels with the result to the renderers and is in no row.
"""

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from medinv.data.frame import Frame, LosslessCertificate
from medinv.explanation.result import Explanation

SCHEMA = "medinv-result-2"
OUT_OF_SCOPE = "out of scope"
DISCLAIMER = "Research use, not for diagnosis."


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class Failure(_Value):
    """Why there is no result; `code` is stable, for machines."""

    stage: str
    code: str
    message: str


class Problem(Failure):
    """Why one file or image gave none."""

    source: str
    sop_uid: str | None = None


class Scope(_Value):
    """Whether the model places the image among those that it was made for.

    It judges by its likelihood or by its features, as the card's scope says. Of a model that cannot
    judge, score and threshold are None and every image counts as in scope, which its results warn
    of.
    """

    in_scope: bool
    score: float | None
    threshold: float | None
    reasons: tuple[str, ...] = ()

    def objected(self, reasons: tuple[str, ...]) -> "Scope":
        """The same with what else speaks against the image; within only where nothing does."""
        within = self.in_scope and not reasons
        return self.model_copy(update={"in_scope": within, "reasons": (*self.reasons, *reasons)})


class RoundTrip(_Value):
    """What came back when the network ran backwards from the features of all images."""

    exact: bool  # every stored value, after rounding
    bits: int  # of the stored values
    max_abs_error: float  # grey levels, before rounding
    dtype: str
    device: str = "cpu"  # or cuda
    intake: str
    intake_lossy: bool


class ImageName(_Value):
    """An image within its study."""

    sop_uid: str
    frame: int | None = None  # from 1, of an image of several frames

    @property
    def name(self) -> str:
        """Its UID, with the number of the frame if it is one of several."""
        return self.sop_uid if self.frame is None else f"{self.sop_uid} frame {self.frame}"


class Answer(NamedTuple):
    """The class whose probability is told: of two the second, of more the one called."""

    name: str
    probability: float  # calibrated
    others: tuple[tuple[str, float], ...]  # of more than two classes the others, by probability


class _Call(_Value):
    """A label, and the calibrated probabilities behind it by class, in the model's order."""

    label: str | None
    probabilities: dict[str, float] | None

    @property
    def called(self) -> str | None:
        """The class called; None where none is."""
        return None if self.label == OUT_OF_SCOPE else self.label

    @property
    def answer(self) -> Answer | None:
        """The class and probability to quote; None where nothing may be."""
        named, label = self.probabilities, self.called
        if not named or label is None:
            return None
        if len(named) == 2:
            name = list(named)[1]
            return Answer(name, named[name], ())
        rest = sorted(
            (item for item in named.items() if item[0] != label), key=lambda item: -item[1]
        )
        return Answer(label, named[label], tuple(rest))


class ImageResult(ImageName, _Call):
    """One image as one model sees it."""

    series_uid: str | None
    path: str
    label: str
    probabilities: dict[str, float]
    scope: Scope
    modality: str | None
    intake: str
    intake_lossy: bool
    stored_sha256: str
    lossy: bool
    warnings: tuple[str, ...] = ()
    reconstruction_exact: bool
    certificate: LosslessCertificate | None = None
    # not filed
    pixels: InstanceOf[Frame] | None = Field(default=None, exclude=True, repr=False)
    explanation: InstanceOf[Explanation] | None = Field(default=None, exclude=True, repr=False)

    @property
    def in_scope(self) -> bool:
        """Its label is one of the model's classes."""
        return self.label != OUT_OF_SCOPE


class SeriesResult(_Call):
    """What the images of one series come to."""

    series_uid: str | None
    images: int
    in_scope: int
    label: str
    probabilities: dict[str, float] | None
    deciding: tuple[ImageName, ...]


class ModelUsed(_Value):
    """The model that gave a result, by name and by the hash of its weights."""

    name: str
    sha256: str


class StudyResult(_Call):
    """One study as one model sees it, the failed and the skipped ones included."""

    result_schema: str = Field(default=SCHEMA, alias="schema")
    study_uid: str
    status: Literal["ok", "failed", "skipped"]
    error: Failure | None
    label: str | None
    probabilities: dict[str, float] | None
    plausible: tuple[str, ...] | None = None  # the set of classes, where abstention was asked for
    rule: str
    aggregation: str
    deciding: tuple[ImageName, ...] = ()
    series: tuple[SeriesResult, ...] = ()
    instances: tuple[ImageResult, ...] = ()
    reconstruction: RoundTrip | None = None
    warnings: tuple[str, ...] = ()
    skipped: tuple[Problem, ...] = ()
    broken: tuple[Problem, ...] = ()
    model: ModelUsed
    disclaimer: str = DISCLAIMER
    seconds: float
    report: str | None = None  # path of report.html within the results folder
    dicom: tuple[str, ...] = ()  # paths of the DICOM results there

    @property
    def in_scope(self) -> bool:
        """It has a label that is one of the model's classes."""
        return self.label not in (None, OUT_OF_SCOPE)

    @property
    def undecided(self) -> bool:
        """Abstention was asked for, and the set of classes is not the one called alone."""
        return self.plausible is not None and self.plausible != (self.label,)

    @property
    def outcome(self) -> str:
        """What became of it, in a word: its label, undecided, out of scope, failed or skipped."""
        return "undecided" if self.undecided else self.label or self.status

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings of the study and of its images, each once."""
        of_images = (warning for image in self.instances for warning in image.warnings)
        return tuple(dict.fromkeys((*self.warnings, *of_images)))

    def row(self) -> dict[str, Any]:
        """The line of results.jsonl, ready for JSON."""
        first = {"schema": self.result_schema, "study_uid": self.study_uid, "status": self.status}
        unasked = {"plausible"} if self.plausible is None else None
        return first | self.model_dump(mode="json", by_alias=True, exclude=unasked)

    def warned(self, *warnings: str) -> "StudyResult":
        """The same with more warnings."""
        return self.model_copy(update={"warnings": (*self.warnings, *warnings)})
