"""What is measured of one model: generators of figures, a group of questions each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.audit.changes import (
    blanked,
    blurred,
    border_alone,
    cut_out,
    exchanged,
    harmless,
    turned_over,
)
from medinv.audit.linear import border_features, outline_features, plain_features, told_by
from medinv.audit.planted import Planted, hidden, plantings
from medinv.audit.result import Figure
from medinv.audit.sample import Region, Sample, grey
from medinv.audit.subject import Answers, Subject
from medinv.data.sets.labelled import Part
from medinv.metrics import Estimate, clustered_auc, mean, share

Figures = Iterator[Figure]
WHOLE, BY_REGION, BORDER = (
    "The images as they are",
    "The region and what surrounds it",
    "The border",
)
CHANGES, PLANTED, EVIDENCE = "Changes that are no finding", "Findings", "Evidence"
SCOPE = "Out of scope"


@dataclass(frozen=True)
class Bench:
    """One model and one sample: what all measures share."""

    subject: Subject
    sample: Sample
    train: Part  # some training images
    train_region: Region | None
    answers: Answers  # of the images as they are
    quick: bool

    @property
    def labels(self) -> np.ndarray:
        """Of the sample, (N,)."""
        return self.sample.labels.numpy()

    @property
    def patients(self) -> np.ndarray:
        """Of the sample, (N,)."""
        return self.sample.patients.numpy()

    @property
    def pairs(self) -> int:
        """Images of an exchange, of each class."""
        return 40 if self.quick else 100

    @property
    def mapped(self) -> int:
        """Images whose evidence is mapped."""
        return 16 if self.quick else 100

    def ask(self, images: Tensor) -> Answers:
        """Answers to changed images."""
        return self.subject.answers(whole_levels(images, self.subject.unit))

    def auc(self, images: Tensor) -> Estimate:
        """AUC of the whole sample, changed."""
        return clustered_auc(self.labels, self.ask(images).scores, self.patients)


def whole_levels(images: Tensor, unit: float = 1.0) -> Tensor:
    """What a network can be given of images from 0 to 255: whole levels, of which `unit` are 1."""
    return (images.clamp(0, 255) * unit).round() / unit


def whole(bench: Bench) -> Figures:
    """AUC and accuracy of the images as they are, and the share of each class that is called so."""
    called, labels, patients = bench.answers.called, bench.labels, bench.patients
    yield Figure(
        key="whole.auc",
        group=WHOLE,
        name="AUC",
        estimate=clustered_auc(labels, bench.answers.scores, patients),
    )
    right = share(called == labels, patients)
    yield Figure(key="whole.accuracy", group=WHOLE, name="accuracy", estimate=right)
    for k, name in enumerate(bench.subject.classes):
        rows = labels == k
        if rows.any():
            hits = share(called[rows] == k, patients[rows])
            text = f"{name}: called so"
            yield Figure(key=f"whole.called.{name}", group=WHOLE, name=text, estimate=hits)


def by_region(bench: Bench, region: Region) -> Figures:
    """AUC with the region alone and without it, by each image's own mask and by one for all."""
    for alone, key, text in (
        (True, "region-alone", f"{region.name} alone"),
        (False, "region-blanked", f"{region.name} blanked"),
    ):
        both = {
            fixed: bench.auc(blanked(bench.sample, region, alone=alone, fixed=fixed))
            for fixed in (False, True)
        }
        # The worse one counts: the outline of a mask may give the label away, and so may what
        # one mask for all does not cover.
        worse = (min if alone else max)(both.values(), key=lambda one: one.value)
        name = f"AUC, {text}"
        yield Figure(key=f"{key}.auc", group=BY_REGION, name=name, estimate=worse)
        for fixed, mask in ((False, "own mask"), (True, "one mask for all")):
            one = f"{key}.auc.{'fixed' if fixed else 'own'}"
            named = f"{name}, {mask}"
            yield Figure(key=one, group=BY_REGION, name=named, estimate=both[fixed])
    if bench.train_region is not None:
        told = told_by(
            (outline_features(bench.train_region.exact), bench.train.labels),
            (outline_features(region.exact), bench.labels, bench.patients),
        )
        name = f"AUC, a linear model on the outline of the {region.name}"
        yield Figure(key="outline.linear", group=BY_REGION, name=name, estimate=told)


def exchanges(bench: Bench, region: Region) -> Figures:
    """Regions in the surrounds of other classes: whether the answer follows the one or the other.

    Overall the worse class counts.
    """
    follows: dict[str, list[Figure]] = {"region": [], "surround": []}
    for k, name in enumerate(bench.subject.classes):
        if not 0 < int((bench.sample.labels == k).sum()) < len(bench.labels):
            continue
        for aligned in (True, False) if region.places is not None else (False,):
            inner, outer, images = exchanged(
                bench.sample, region, k, pairs=bench.pairs, aligned=aligned
            )
            called = bench.ask(images).called
            clusters = bench.sample.clusters(inner)
            how = ", moved onto it" if aligned else ""
            for what, wanted in (("region", k), ("surround", bench.labels[outer.numpy()])):
                hits = share(called == wanted, clusters)
                key = f"exchange.{what}.{name}{'.aligned' if aligned else ''}"
                text = f"{region.name} of {name} in another's surround{how}: called as the {what}"
                figure = Figure(key=key, group=BY_REGION, name=text, estimate=hits)
                follows[what].append(figure)
                yield figure
    for what, pick in (("region", min), ("surround", max)):
        worst = pick(follows[what], key=lambda one: one.estimate.value)
        text = f"exchanged: the answer follows the {what}, worst class"
        key = f"exchange.follows-{what}"
        yield Figure(key=key, group=BY_REGION, name=text, estimate=worst.estimate)


def border(bench: Bench) -> Figures:
    """How much of the label the border holds, and what the model makes of it."""
    sample = bench.sample
    train = grey(bench.train.images)
    for key, text, features in (
        ("border.linear", "AUC, a linear model on the border", border_features),
        ("plain.linear", "AUC, a linear model on brightness, contrast, sharpness", plain_features),
    ):
        fitted = features(train), bench.train.labels
        told = told_by(fitted, (features(sample.images), bench.labels, bench.patients))
        yield Figure(key=key, group=BORDER, name=text, estimate=told)
    left = bench.auc(border_alone(sample))
    text = "AUC, border alone"
    yield Figure(key="border.model", group=BORDER, name=text, estimate=left)


def changes(bench: Bench) -> Figures:
    """Of all images: another label than as they are, and no flag."""
    images = bench.sample.images
    for key, name, changed in (*harmless(images), *turned_over(images), *cut_out(images)):
        now = bench.ask(changed)
        other = (now.called != bench.answers.called) & ~now.flagged
        told = share(other, bench.patients)
        text = f"{name}: another label and no flag"
        yield Figure(key=f"change.{key}", group=CHANGES, name=text, estimate=told)


def scope(bench: Bench, foreign: dict[str, np.ndarray]) -> Figures:
    """The share that gets no label: of images as they are, spoilt ones and those of other kinds."""
    sample = bench.sample
    spoilt = {"upside-down": ("upside down", sample.images.flip(-2))}
    spoilt |= {key: (name, images) for key, name, images in cut_out(sample.images)}
    if sample.region is not None:
        gone = blanked(sample, sample.region, alone=False)
        spoilt["region-blanked"] = (f"{sample.region.name} blanked", gone)
    for deviation in (1, 1.5, 2):
        images = blurred(sample.images, deviation)
        spoilt[f"blur-{deviation}"] = (f"blur of s.d. {deviation}", images)
    yield _unlabelled("in", "as they are", bench.answers.flagged, bench.patients)
    for key, (name, images) in spoilt.items():
        yield _unlabelled(key, name, bench.ask(images).flagged, bench.patients)
    for name, others in foreign.items():
        hits = bench.ask(grey(others)).flagged
        yield _unlabelled(f"foreign.{name}", name, hits, np.arange(len(hits)))


def _unlabelled(key: str, name: str, hits: np.ndarray, patients: np.ndarray) -> Figure:
    told = share(hits, patients)
    return Figure(key=f"scope.{key}", group=SCOPE, name=f"{name}: no label", estimate=told)


def planted(bench: Bench, region: Region) -> Figures:
    """Of images called the first class: called the second with a finding, and the evidence."""
    second = bench.subject.classes[1]
    for one in plantings(bench.sample, region, quick=bench.quick):
        kept = torch.from_numpy(bench.answers.called[one.rows.numpy()] == 0)
        if not kept.any():
            continue
        images, rows = whole_levels(one.images[kept], bench.subject.unit), one.rows[kept]
        called = bench.subject.answers(images).called == 1
        told = share(called, bench.sample.clusters(rows))
        text = f"planted, {one.name}: called {second}"
        yield Figure(key=f"planted.{one.key}", group=PLANTED, name=text, estimate=told)
        yield from _pointing(bench, one, kept, images, called)


def _pointing(
    bench: Bench, one: Planted, kept: Tensor, images: Tensor, called: np.ndarray
) -> Figures:
    some = torch.from_numpy(np.flatnonzero(called)[: bench.mapped * 2 // 5])
    if not len(some):
        return
    maps = bench.subject.maps(images[some], np.ones(len(some)), bench.sample.ground)
    hits = peaks_on(maps, (one.where[kept][some] > 0.25).numpy())
    told = share(hits, bench.sample.clusters(one.rows[kept][some]))
    text = f"planted, {one.name}: evidence peaks on it"
    yield Figure(key=f"planted.{one.key}.peak", group=PLANTED, name=text, estimate=told)


def occluded(bench: Bench, region: Region) -> Figures:
    """Of images called rightly: how far the probability of their class falls with a disc hidden."""
    right = torch.from_numpy(bench.answers.called == bench.labels)
    for _, one in hidden(bench.sample, region, quick=bench.quick):
        kept = right[one.rows]
        if not kept.any():
            continue
        rows = one.rows[kept].numpy()
        labels = bench.labels[rows]
        now = bench.ask(one.images[kept]).probabilities[np.arange(len(rows)), labels]
        falls = bench.answers.probabilities[rows, labels] - now
        told = mean(falls, bench.sample.clusters(one.rows[kept]))
        text = f"{one.name}: fall of the probability of its class"
        yield Figure(key=one.key, group=PLANTED, name=text, estimate=told)


def evidence(bench: Bench, region: Region) -> Figures:
    """How much of the evidence for the class called lies in the region, and whether it peaks there.

    Of images called rightly; of two classes, of those of the second alone: nothing in particular
    speaks for the absence of a finding.
    """
    rows = mapped_rows(bench)
    if not len(rows):
        return
    maps = bench.subject.maps(
        bench.sample.images[rows], bench.answers.called[rows.numpy()], bench.sample.ground
    )
    inside = region.wide[rows, 0].numpy() > 0.5
    positive, clusters = maps.clip(0), bench.sample.clusters(rows)
    flat = positive.reshape(len(maps), -1)
    shares = (flat * inside.reshape(len(maps), -1)).sum(1) / np.maximum(flat.sum(1), 1e-12)
    told = mean(shares, clusters)
    text = f"evidence inside the {region.name}"
    yield Figure(key="evidence.inside", group=EVIDENCE, name=text, estimate=told)
    peaks = share(peaks_on(maps, inside), clusters)
    text = f"evidence peaks in the {region.name}"
    yield Figure(key="evidence.peak", group=EVIDENCE, name=text, estimate=peaks)
    area = mean(inside.reshape(len(inside), -1).mean(1), clusters)
    text = f"area of the {region.name} with its margin"
    yield Figure(key="evidence.area", group=EVIDENCE, name=text, estimate=area)


def mapped_rows(bench: Bench) -> Tensor:
    """Which images the evidence is mapped of."""
    right = bench.answers.called == bench.labels
    if bench.subject.two:
        right &= bench.labels == 1
    return torch.from_numpy(np.flatnonzero(right)[: bench.mapped])


def peaks_on(maps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Whether the highest pixel of each map (N, *size) lies in `where`, of the same shape."""
    flat = maps.reshape(len(maps), -1)
    return where.reshape(len(maps), -1)[np.arange(len(maps)), flat.argmax(1)]


def sized(masks: Tensor, size: int) -> np.ndarray:
    """Masks (N, H, W) averaged to `size` x `size`."""
    return F.interpolate(masks[:, None], size=(size, size), mode="area")[:, 0].numpy()


Measure = Callable[[Bench], Figures]
