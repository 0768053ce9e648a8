"""Prepares files into a set, in this process, and looks at what was written."""

import csv
from pathlib import Path

import pyarrow.parquet

from medinv.data.prepare.prepare import Made, Wish, prepare
from medinv.data.prepare.read import read_here
from medinv.data.prepare.sources import Ask, open_source
from medinv.data.sets.info import About


def run(folder: Path, *inputs: str, **options) -> Made:
    """Prepare `folder`/in, or other inputs, into `folder`/set."""
    wish = {
        name: options.pop(name)
        for name in ("classes", "shares", "seed", "allow_absent", "overwrite")
        if name in options
    }
    phi = options.get("phi", False)
    labels = options.pop("labels", str(folder / "labels.csv"))
    paths = tuple(folder / one for one in inputs or ("in",))
    source = open_source(
        Ask(paths, labels, classes=wish.get("classes", ()), **{"size": "16", **options}), read_here
    )
    return prepare(source, Wish(folder / "set", About(name="test"), phi=phi, **wish))


def refused(folder: Path) -> dict[str, list[str]]:
    """Sources by reason."""
    with (folder / "set" / "refused.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {
        code: [row["source"] for row in rows if row["code"] == code]
        for code in {row["code"] for row in rows}
    }


def manifest(folder: Path) -> list[dict]:
    return pyarrow.parquet.read_table(folder / "set" / "manifest.parquet").to_pylist()
