"""The columns of a data set: how well a model does by value, and whether they tell the label."""

from collections.abc import Iterator, Mapping

import numpy as np

from medinv.audit.linear import told_by_column
from medinv.audit.measures import Bench
from medinv.audit.result import Figure, Subgroup
from medinv.data.sets.subgroups import grouped
from medinv.metrics import clustered_auc, share

COLUMNS = "Columns of the data"
FEWEST = 10  # images of a value that is told by itself
MOST = 12  # values of a column that are told


def columns(bench: Bench, own: Mapping[str, np.ndarray]) -> Iterator[Figure]:
    """By column the AUC of the label told from it alone; own: the sample's columns (N,)."""
    count = len(bench.subject.classes)
    for name, values in own.items():
        train = bench.train.columns.get(name)
        if train is None or not _varies(name, values):
            continue
        fitted = (train, bench.train.labels)
        told = told_by_column(name, fitted, (values, bench.labels, bench.patients), count)
        text = f"AUC, label told from {name} alone"
        yield Figure(key=f"column.{name}", group=COLUMNS, name=text, estimate=told)


def subgroups(bench: Bench, own: Mapping[str, np.ndarray]) -> Iterator[Subgroup]:
    """The model's metrics by the values of each column, the commonest first."""
    for name, values in own.items():
        if _varies(name, values):
            found = grouped(name, values, values).items()
            for value, inside in sorted(found, key=lambda one: -int(one[1].sum()))[:MOST]:
                if inside.sum() >= FEWEST:
                    yield _subgroup(bench, name, value, inside)


def _varies(name: str, values: np.ndarray) -> bool:
    """Several values, and not one an image, as identifiers have."""
    different = len(np.unique(values.astype(str)))
    sizes = [rows.sum() for rows in grouped(name, values, values).values()]
    return different > 1 and (
        different <= len(values) / 2 or sum(size >= FEWEST for size in sizes) > 1
    )


def _subgroup(bench: Bench, name: str, value: str, inside: np.ndarray) -> Subgroup:
    labels, patients = bench.labels[inside], bench.patients[inside]
    called, scores = bench.answers.called[inside], bench.answers.scores[inside]
    return Subgroup(
        column=name,
        value=value,
        images=int(inside.sum()),
        patients=len(np.unique(patients)),
        auc=clustered_auc(labels, scores, patients) if len(np.unique(labels)) > 1 else None,
        accuracy=share(called == labels, patients),
    )
