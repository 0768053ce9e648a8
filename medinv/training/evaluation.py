"""A model on any labelled images: metrics by patient, by subgroup, in scope, and beside another.

`medinv.training.bootstrap` has the metrics and their intervals, `medinv.data.sets.subgroups` the
columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medinv.data.sets.info import PARTS, DataSetInfo
from medinv.data.sets.labelled import LabelledImages, Part, Progress
from medinv.data.sets.prepared import read_set
from medinv.data.sets.subgroups import Subgroup, subgroups
from medinv.errors import ConfigError, DataError
from medinv.metrics import RESAMPLES, Estimate, share
from medinv.models.base import Calibrated, in_batches
from medinv.models.build import scope_of
from medinv.models.card import DISCLAIMER
from medinv.training.bootstrap import estimates

USUAL = ("sex", "age", "manufacturer")
"""Columns that make subgroups, where a set has them, unless others are named."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(_Frozen):
    """Some of the images. Without images or patients of every class there are no metrics."""

    column: str  # "" for all images, "scope" for those in scope
    value: str
    images: int
    patients: int
    classes: dict[str, int]  # images by class
    metrics: dict[str, Estimate] = {}
    difference: dict[str, Estimate] = {}  # this model's less the other's


class ModelName(_Frozen):
    """Which model it was."""

    name: str
    weights_sha256: str


class Evaluation(_Frozen):
    """What `medinv evaluate --data` measured; the JSON that it writes."""

    version: int = 1
    model: ModelName
    against: ModelName | None
    data: str
    data_sha256: str
    part: str
    classes: tuple[str, ...]
    class_map: dict[str, str]  # classes of the set that go by another name in the model
    resamples: int = RESAMPLES
    flagged: Estimate | None  # share of images that the model's scope places outside
    groups: tuple[Group, ...]
    disclaimer: str = DISCLAIMER


@dataclass(frozen=True)
class Answers:
    """What a model says of N images; `in_scope` (N,) bool is None of kinds without a scope."""

    probabilities: NDArray  # (N, K)
    called: NDArray  # (N,) label numbers
    in_scope: NDArray | None

    def ordered(self, classes: Sequence[str], wanted: Sequence[str]) -> "Answers":
        """The same with the classes in another order."""
        numbers = np.array([wanted.index(name) for name in classes])
        columns = [classes.index(name) for name in wanted]
        return replace(
            self, probabilities=self.probabilities[:, columns], called=numbers[self.called]
        )


def answers(model: Calibrated, images: NDArray) -> Answers:
    """Calibrated probabilities, called classes and scope of images (N, C, *size)."""
    probabilities = in_batches(model.probabilities, model, images).double().numpy()
    if len(model.classes) == 2:
        called = (probabilities[:, 1] >= model.threshold).astype(np.int64)
    else:
        called = probabilities.argmax(1)
    scope = scope_of(model, model.card.config.model)
    if scope is None:
        return Answers(probabilities, called, None)
    scores = in_batches(scope.score, model, images).numpy()
    return Answers(probabilities, called, scores <= scope.threshold)


def check_fits(model: Calibrated, info: DataSetInfo) -> None:
    """Raise DataError unless the images of a set are of the model's shape and range."""
    wanted, sides = model.card.config.image_shape, "x".join(map(str, info.size))
    if info.bits != model.card.bits:
        raise DataError(
            f"the set holds {info.bits} bits, {model.card.name} reads {model.card.bits}: prepare "
            f"it again with --bits {model.card.bits}",
            stage="evaluate",
        )
    if info.shape != wanted:
        size = "x".join(map(str, wanted[1:]))
        colour = " --colour" if wanted[0] == 3 else ""
        raise DataError(
            f"{model.card.name} reads images of {wanted[0]} channels and {size}, the set holds "
            f"{info.channels} and {sides}: prepare it again with --size {size}{colour}",
            stage="evaluate",
        )


def matched(classes: Sequence[str], model: Calibrated, renamed: Mapping[str, str]) -> NDArray:
    """The model's label numbers of a set's classes, matched by name.

    `renamed` gives, for names of the set, those of the model. Raises ConfigError where classes are
    left over on either side.
    """
    if unknown := sorted(set(renamed) - set(classes)):
        raise ConfigError(
            f"--map {unknown[0]}=...: the set has no such class; it has {', '.join(classes)}"
        )
    named = [renamed.get(name, name) for name in classes]
    if set(named) != set(model.classes):
        left = [name for name in classes if renamed.get(name, name) not in model.classes]
        raise ConfigError(
            f"classes differ: the set has {', '.join(classes)}; {model.card.name} tells "
            f"{', '.join(model.classes)}. Say what is the same, each as "
            f"--map {(left or classes)[0]}=CLASS-OF-THE-MODEL"
        )
    return np.array([model.classes.index(name) for name in named])


@dataclass(frozen=True)
class Question:
    """Labels (N,) in the order of `classes`, patients (N,), and what one or two models say."""

    classes: tuple[str, ...]
    labels: NDArray
    patients: NDArray
    given: Answers
    other: Answers | None = None

    def group(self, column: str, value: str, rows: NDArray) -> Group:
        """Metrics of some rows (N,) bool, where they hold every class."""
        labels, patients = self.labels[rows], self.patients[rows]
        counts = {name: int((labels == k).sum()) for k, name in enumerate(self.classes)}
        group = Group(
            column=column,
            value=value,
            images=len(labels),
            patients=len(np.unique(patients)),
            classes=counts,
        )
        if min(counts.values()) == 0:
            return group
        said = [(one.probabilities[rows], one.called[rows]) for one in self._models()]
        metrics, *difference = estimates(labels, patients, self.classes, said)
        found = {"metrics": metrics, "difference": difference[0] if difference else {}}
        return group.model_copy(update=found)

    def groups(self, subgroups: Sequence[Subgroup]) -> tuple[Group, ...]:
        """All images, those in scope where some are not, and subgroups."""
        wanted = [("", "all", np.ones(len(self.labels), bool))]
        inside = self.given.in_scope
        if inside is not None and not inside.all():
            wanted.append(("scope", "in scope", inside))
        return tuple(self.group(*each) for each in (*wanted, *subgroups))

    def _models(self) -> tuple[Answers, ...]:
        return (self.given,) if self.other is None else (self.given, self.other)


@dataclass(frozen=True)
class Request:
    """Which images of a set, and how they are divided.

    `columns` None: `USUAL` as far as the set has them. `edges` are where columns of numbers are
    cut, `renamed` the model's names of the set's classes.
    """

    folder: Path
    part: str = "test"
    columns: tuple[str, ...] | None = None
    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


def evaluate_set(
    request: Request,
    model: Calibrated,
    against: Calibrated | None = None,
    *,
    progress: Progress = lambda text: None,
) -> Evaluation:
    """Measure a model on a prepared set, and beside another where one is given.

    Raises ConfigError and DataError where set and models do not fit, and what `read_set` raises.
    """
    found = read_set(request.folder)
    models = [model] if against is None else [model, against]
    for each in models:
        check_fits(each, found.info)
        matched(found.info.classes, each, request.renamed)
    part = _part(found.data, request.part)
    columns = request.columns
    if columns is None:
        columns = usual_columns(part)
    rows = list(subgroups(part, columns, request.edges))
    said = []
    for each in models:
        progress(f"{each.card.name} on {len(part)} images")
        said.append(answers(each, part.images).ordered(each.classes, model.classes))
    labels = matched(found.info.classes, model, request.renamed)[part.labels]
    return Evaluation(
        model=_named(model),
        against=None if against is None else _named(against),
        data=found.info.name,
        data_sha256=found.info.sha256,
        part=request.part,
        classes=model.classes,
        class_map=dict(request.renamed),
        flagged=_flagged(said[0], part.patients),
        groups=Question(model.classes, labels, part.patients, *said).groups(rows),
    )


def usual_columns(part: Part) -> tuple[str, ...]:
    """Those of USUAL by which images differ: pictures state no manufacturer, say."""
    there = (name for name in USUAL if name in part.columns)
    return tuple(name for name in there if len(np.unique(part.columns[name])) > 1)


def _part(data: LabelledImages, name: str) -> Part:
    parts = dict(zip(PARTS, (data.train, data.validation, data.test), strict=True))
    if name != "all" and name not in parts:
        raise ConfigError(f"--part: expected {', '.join(PARTS)} or all; got {name!r}")
    part = _joined(list(parts.values())) if name == "all" else parts[name]
    if not len(part):
        held = ", ".join(f"{len(each)} {key}" for key, each in parts.items())
        raise DataError(f"the part {name} is empty; the set holds {held} images", stage="evaluate")
    return part


def _joined(parts: list[Part]) -> Part:
    parts = [part for part in parts if len(part)]
    return Part(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.patients for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


def _named(model: Calibrated) -> ModelName:
    return ModelName(name=model.card.name, weights_sha256=model.card.weights_sha256)


def _flagged(given: Answers, patients: NDArray) -> Estimate | None:
    """Share of images out of scope; its interval counts patients, whose images are alike."""
    return None if given.in_scope is None else share(~given.in_scope, patients)
