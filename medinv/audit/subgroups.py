"""The columns of a data set: how well a model does by value, and whether they tell the label."""

from collections.abc import Iterator, Mapping

import numpy as np

from medinv.audit import estimates
from medinv.audit.linear import groups, told_by_column
from medinv.audit.measures import Bench
from medinv.audit.result import Figure, Subgroup

COLUMNS = "Columns of the data"
FEWEST = 10  # images of a value that is told by itself
MOST = 12  # values of a column that are told


def columns(bench: Bench, own: Mapping[str, np.ndarray]) -> Iterator[Figure]:
    """By column the AUC of the label told from it alone; own: the sample's columns (N,)."""
    count = len(bench.subject.classes)
    for name, values in own.items():
        train = bench.train.columns.get(name)
        if train is None or not _varies(values):
            continue
        told = told_by_column(
            (train, bench.train.labels), (values, bench.labels, bench.patients), count
        )
        text = f"AUC, label told from {name} alone"
        yield Figure(key=f"column.{name}", group=COLUMNS, name=text, estimate=told)


def subgroups(bench: Bench, own: Mapping[str, np.ndarray]) -> Iterator[Subgroup]:
    """The model's metrics by the values of each column, the commonest first."""
    for name, values in own.items():
        if not _varies(values):
            continue
        named = groups(values, values)
        found, counts = np.unique(named, return_counts=True)
        for value in found[np.argsort(-counts, kind="stable")][:MOST]:
            inside = named == value
            if inside.sum() >= FEWEST:
                yield _subgroup(bench, name, str(value), inside)


def _varies(values: np.ndarray) -> bool:
    """Several values, and not one an image, as identifiers have."""
    different = len(np.unique(values.astype(str)))
    return different > 1 and (different <= len(values) / 2 or len(groups_of(values)) > 1)


def groups_of(values: np.ndarray) -> np.ndarray:
    """The different groups of a column that are large enough."""
    found, counts = np.unique(groups(values, values), return_counts=True)
    return found[counts >= FEWEST]


def _subgroup(bench: Bench, name: str, value: str, inside: np.ndarray) -> Subgroup:
    labels, patients = bench.labels[inside], bench.patients[inside]
    called, scores = bench.answers.called[inside], bench.answers.scores[inside]
    return Subgroup(
        column=name,
        value=value or "not stated",
        images=int(inside.sum()),
        patients=len(np.unique(patients)),
        auc=estimates.auc(labels, scores, patients) if len(np.unique(labels)) > 1 else None,
        accuracy=estimates.share(called == labels, patients),
    )
