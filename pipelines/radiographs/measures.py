"""What is measured of one model, each value with its 95 % interval."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from medinv.audit.changes import blanked, exchanged, harmless
from medinv.audit.measures import peaks_on, whole_levels
from medinv.audit.planted import Planted
from medinv.audit.sample import Region, Sample
from medinv.audit.subject import LOCAL
from medinv.explanation.place import placed
from medinv.explanation.sensitivity import of_foreign
from medinv.metrics import Estimate, clustered, mean, proportion, share
from medinv.metrics import auc as area
from pipelines.explanations.explainers import methods
from pipelines.radiographs.lesions import Adults, Lesions
from pipelines.radiographs.subjects import Subject
from pipelines.radiographs.variants import PAIRS

MAPPED, MAPPED_PLANTS = 100, 40  # films of which the evidence is mapped
AT_ONCE = 8
Measured = Iterator[tuple[str, Estimate]]


def answers(subject: Subject, films: Sample, region: Region) -> Measured:
    """AUC of whole films and of either region alone, exchanges, and changes that are no finding."""

    def auc(images: Tensor) -> Estimate:
        odds = subject.odds(whole_levels(images))
        return clustered(area, films.labels.numpy(), odds, films.patients.numpy())

    yield "AUC, whole film", auc(films.images)
    whole = subject.odds(films.images)
    for label, name in ((1, "sensitivity"), (0, "specificity")):
        yield name, proportion((whole[films.labels.numpy() == label] >= 0) == label)
    for fixed, mask in ((False, "fitted mask"), (True, "one mask for all")):
        for lungs, name in ((True, "outside the lungs alone"), (False, "lungs alone")):
            yield f"AUC, {name}, {mask}", auc(blanked(films, region, alone=not lungs, fixed=fixed))
    for label, name in (
        (0, "normal lungs in an ill surround"),
        (1, "ill lungs in a normal surround"),
    ):
        for aligned, how in ((True, "moved onto them"), (False, "as it lies")):
            rows, _, images = exchanged(films, region, label, pairs=PAIRS, aligned=aligned)
            odds = subject.odds(whole_levels(images))
            yield f"{name}, {how}: called pneumonia", share(odds >= 0, films.clusters(rows))
    rows = films.rows(0)
    yield "normal films called pneumonia", proportion(whole[rows] >= 0)
    for _, name, images in harmless(films.images[rows]):
        changed = whole_levels(images)
        wrong = (subject.odds(changed) >= 0) & ~subject.flagged(changed)
        yield f"normal films, {name}: called pneumonia and not flagged", proportion(wrong)
    yield "upside down: flagged", proportion(subject.flagged(films.images.flip(2)))
    yield "flagged as they are", proportion(subject.flagged(films.images))


def planted(subject: Subject, films: Sample, made: dict[str, Planted], *, mapped: bool) -> Measured:
    """Of normal films that the model calls normal the share called pneumonia with a finding, and
    whether the evidence peaks on it.
    """
    normal = subject.odds(films.images) < 0
    for name, one in made.items():
        kept = torch.from_numpy(normal[one.rows.numpy()])
        images = whole_levels(one.images)[kept]
        called = subject.odds(images) >= 0
        yield f"planted, {name}: called pneumonia", proportion(called)
        some = torch.from_numpy(np.flatnonzero(called)[:MAPPED_PLANTS])
        if mapped and len(some):
            where = (one.where[kept][some] > 0.25).numpy()
            maps = subject.maps(images[some])
            yield f"planted, {name}: evidence peaks on it", proportion(peaks_on(maps, where))


def evidence(subject: Subject, films: Sample, region: Region) -> Measured:
    """Of films with pneumonia that are called so, how much of the evidence for it lies in the lungs
    and 0.04 of a side around them, and whether it peaks there.
    """
    rows = films.rows(1)
    rows = rows[torch.from_numpy(subject.odds(films.images[rows]) >= 0)][:MAPPED]
    maps = subject.maps(films.images[rows])
    inside = (region.wide[rows, 0] > 0.5).numpy()
    shares = (maps.clip(0) * inside).sum((1, 2)) / maps.clip(0).sum((1, 2))
    odds = subject.odds(films.images[rows])
    yield "log-odds of those films, above what calls pneumonia", mean_of(odds)
    yield "their evidence, summed over places", mean_of(maps.sum((1, 2)))
    yield "evidence for pneumonia in the lungs", mean_of(shares)
    yield "evidence peaks in the lungs", proportion(peaks_on(maps, inside))
    yield "area of that region", mean_of(inside.mean((1, 2)))


def lesions(subject: Subject, found: Lesions, name: str) -> Measured:
    """AUROC of pixels and pointing, of the local evidence and of the methods it is compared with
    elsewhere, and of maps that look at no model: the region that the model keeps, others' masks,
    and the film less the mean normal film. Each as it is, and as evidence is shown: in the region,
    averaged; of films out of the model's scope the evidence, not the other maps, also by how far
    each pixel moves the answer.
    """
    images = torch.from_numpy(found.images).float()
    train = subject.data.train
    normal = train.images[train.labels == 0].mean(0)[0]
    maps = {
        LOCAL: subject.maps(images),
        **dict(of_peers(subject, images)),
        "mean mask of other patients": found.elsewhere(),
        "film less mean normal film": found.images[:, 0] - normal,
    }
    if subject.model.reference and subject.model.reference.region:
        inside = subject.model.reference.region.inside(images)[:, 0].numpy()
        maps["the lungs alone"] = inside.astype(float)
        leant = [of_foreign(subject.model, x) for x in images.split(1)]
        foreign = [by for by in leant if by is not None]
        if len(foreign) == len(leant):
            maps["how far each pixel moves the answer"] = np.stack(foreign)
        others = [None] * len(images)
        maps = {
            name: of
            for kind, each in maps.items()
            for name, of in _both(kind, each, inside, leant if kind == LOCAL else others)
        }
    for kind, values in maps.items():
        yield f"{name}, {kind}: AUROC", mean_of(pixel_areas(values, found.masks))
        yield f"{name}, {kind}: pointing", proportion(peaks_on(values, found.masks))


def _both(
    kind: str, maps: np.ndarray, inside: np.ndarray, leant: Sequence[np.ndarray | None]
) -> Iterator[tuple[str, np.ndarray]]:
    """Maps as they are and as evidence is shown."""
    yield kind, maps
    each = zip(maps, inside, leant, strict=True)
    shown = [placed(values, region, sensitivity=by) for values, region, by in each]
    yield f"{kind}, as shown", np.stack(shown)


def pixel_areas(maps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """AUROC (N,) of the pixels of each map (N, H, W) for `where` (N, H, W) bool."""
    return np.array([roc_auc_score(w.ravel(), v.ravel()) for w, v in zip(where, maps, strict=True)])


def other_people(subject: Subject, films: Adults) -> Measured:
    """How a model of children answers films of adults: out of its scope, told all the same."""
    images = torch.from_numpy(films.images).float()
    odds, name = subject.odds(images), "adults, labels of reports"
    yield f"{name}: AUC", clustered(area, films.labels, odds, films.patients)
    for label, kind in ((0, "without finding"), (1, "with pneumonia")):
        called = odds[films.labels == label] >= 0
        yield f"{name}: those {kind} called pneumonia", proportion(called)
    yield f"{name}: flagged", proportion(subject.flagged(images))


def of_peers(subject: Subject, images: Tensor) -> Iterator[tuple[str, np.ndarray]]:
    """Maps (N, H, W) of the explainers that the study of explanations compares with ours."""
    reference = subject.model.reference
    for name, method in methods(subject.model, subject.states, reference.class_means[:1]).items():
        if not name.endswith("(ours)"):
            yield name, torch.cat([method(some)[0] for some in images.split(AT_ONCE)]).numpy()


def mean_of(values: np.ndarray) -> Estimate:
    """Of cases, each a patient of its own."""
    return mean(values, np.arange(len(values)))
