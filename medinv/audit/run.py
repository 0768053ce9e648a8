"""One model audited: the entry of this room."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Literal

import numpy as np

from medinv.audit import measures
from medinv.audit.equivariance import orientation
from medinv.audit.examples import Example, examples
from medinv.audit.measures import Bench, Figures
from medinv.audit.result import (
    Audit,
    DataAudited,
    Figure,
    ModelAudited,
    RegionUsed,
)
from medinv.audit.sample import Region, lungs, masked, sample_of
from medinv.audit.subgroups import columns, subgroups
from medinv.audit.subject import Subject
from medinv.audit.verdict import judge
from medinv.data.sets.foreign import foreign_images
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import DataError
from medinv.models.base import Calibrated

PartName = Literal["validation", "test"]
RegionName = Literal["auto", "masks", "lungs", "none"]
MOST, MOST_QUICK = 1000, 150  # images of the part that are audited
TRAINING, TRAINING_QUICK = 2000, 600  # training images for template, ground and plain models
FOREIGN, FOREIGN_QUICK = 100, 20
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is to be audited, and how much of it.

    source: the data in words; own: they are the model's own; chests: the images are films of the
    chest, whose lungs can be estimated where there are no masks.
    """

    part: PartName = "test"
    region: RegionName = "auto"
    quick: bool = False
    seed: int = 0
    source: str = ""
    own: bool = True
    chests: bool = False
    pictures: bool = True

    def of(self, source: str, *, own: bool, chests: bool, pictures: bool) -> "Request":
        """The same of these images."""
        return replace(self, source=source, own=own, chests=chests, pictures=pictures)


def audit(
    model: Calibrated,
    data: LabelledImages,
    request: Request,
    *,
    progress: Progress = lambda text: None,
) -> tuple[Audit, tuple[Example, ...]]:
    """Audit a model as `medinv.load` gives it on images of the shape that it takes.

    Returns the figures with the verdict, and the examples that a page shows. Same model, data and
    request, same figures. Raises DataError where the part has no two classes, or a region is asked
    for that is not there.
    """
    began = time.monotonic()
    bench, left_out = _bench(model, data, request, progress)
    figures, notes = _measured(bench, request, data, progress)
    own = getattr(_chosen(data, request), "columns", {})
    figures += list(columns(bench, own))
    groups = tuple(subgroups(bench, own))
    if not own:
        notes.append("subgroups: the data have no columns")
    region = _region_used(bench.sample.region)
    shown: tuple[Example, ...] = ()
    if request.pictures:
        progress("examples")
        shown = examples(bench, planting=_plants(bench, request))
    found = Audit(
        medinv=version("medinv"),
        model=ModelAudited(
            name=model.card.name,
            weights_sha256=model.card.weights_sha256,
            classes=model.classes,
        ),
        data=DataAudited(
            source=request.source,
            sha256=data.sha256(),
            part=request.part,
            own=request.own,
            images=len(bench.labels),
            patients=len(np.unique(bench.patients)),
        ),
        region=region,
        quick=request.quick,
        seed=request.seed,
        evidence_by=bench.subject.evidence_by,
        verdict=judge(figures, groups, region),
        figures=tuple(figures),
        subgroups=groups,
        left_out=(*left_out, *notes),
        seconds=round(time.monotonic() - began, 1),
    )
    return found, shown


def _bench(
    model: Calibrated, data: LabelledImages, request: Request, progress: Progress
) -> tuple[Bench, list[str]]:
    part = _chosen(data, request)
    most = TRAINING_QUICK if request.quick else TRAINING
    train = some_of(data.train, most, request.seed)
    if len(np.unique(part.labels)) < 2 or len(np.unique(train.labels)) < 2:
        raise DataError(
            f"expected images of two classes or more among the {request.part} and the training "
            "images; choose another --data",
            stage="audit",
        )
    progress("region")
    find, why = _finder(model, data, request)
    try:
        sample = sample_of(part, train, find)
        trained = sample_of(train, train, find).region
    except ValueError as error:
        if request.region != "auto":
            raise DataError(f"region {request.region}: {error}", stage="audit") from error
        sample, trained, why = sample_of(part, train, None), None, f"region: {error}"
    subject = Subject.of(model)
    bench = Bench(subject, sample, train, trained, subject.answers(sample.images), request.quick)
    return bench, [why] if why else []


def _chosen(data: LabelledImages, request: Request) -> Part:
    part = data.test if request.part == "test" else data.validation
    return some_of(part, MOST_QUICK if request.quick else MOST, request.seed)


def some_of(part: Part, most: int, seed: int) -> Part:
    """At most so many images, of each class its share, drawn by the seed; in their order."""
    if len(part) <= most:
        return part
    generator, kept = np.random.default_rng(seed), []
    for label in np.unique(part.labels):
        rows = np.flatnonzero(part.labels == label)
        count = max(1, round(most * len(rows) / len(part)))
        kept.append(generator.permutation(rows)[:count])
    rows = np.sort(np.concatenate(kept))
    return replace(
        part,
        images=part.images[rows],
        labels=part.labels[rows],
        patients=part.patients[rows],
        columns={name: values[rows] for name, values in part.columns.items()},
        masks=None if part.masks is None else part.masks[rows],
    )


def _finder(
    model: Calibrated, data: LabelledImages, request: Request
) -> tuple[Callable[[Part, Part], Region] | None, str]:
    """What finds the region, and where nothing does, why."""
    flat = data.train.images.shape[1] == 1 and data.train.images.ndim == 4
    if request.region == "masks" or (request.region == "auto" and data.train.masks is not None):
        return masked, ""
    if request.region == "lungs" or (request.region == "auto" and request.chests and flat):
        return lungs, ""
    return None, "region: none is known, as the data have no masks"


def _plants(bench: Bench, request: Request) -> bool:
    """Whether a bright finding makes sense: in the lungs of films, of two classes."""
    region = bench.sample.region
    return region is not None and region.places is not None and bench.subject.two


def _measured(
    bench: Bench, request: Request, data: LabelledImages, progress: Progress
) -> tuple[list[Figure], list[str]]:
    region, notes = bench.sample.region, list[str]()
    each = FOREIGN_QUICK if request.quick else FOREIGN
    groups: list[tuple[str, Figures]] = [
        ("images as they are", measures.whole(bench)),
        ("border", measures.border(bench)),
        ("changes", measures.changes(bench)),
        ("turns and shifts", orientation(bench)),
    ]
    if not bench.subject.has_scope:
        notes.append("scope: this kind of model has none, so that every image gets a label")
    else:
        foreign = foreign_images(_chosen(data, request), each=each)
        groups.append(("scope", measures.scope(bench, foreign)))
    if region is not None:
        found = measures.planted if _plants(bench, request) else measures.occluded
        groups += [
            ("region blanked and alone", measures.by_region(bench, region)),
            ("surrounds exchanged", measures.exchanges(bench, region)),
            ("findings", found(bench, region)),
            ("evidence", measures.evidence(bench, region)),
        ]
    return [figure for name, some in groups for figure in _said(name, some, progress)], notes


def _said(name: str, figures: Figures, progress: Progress) -> Iterator[Figure]:
    progress(name)
    yield from figures


def _region_used(region: Region | None) -> RegionUsed:
    if region is None:
        return RegionUsed(name="", origin="", area=0.0)
    return RegionUsed(name=region.name, origin=region.origin, area=float(region.wide.mean()))
