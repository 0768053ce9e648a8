"""What a model for adults would be, and why none ships.

    python -m pipelines.radiographs.adults [--out runs/chest-xray-adult]

By the public commands a set of nih_cxr_256 is prepared, configs/chest-xray-adult.yaml is trained on
it from the weights of chest-xray, and audited. Patients of whom radiologists read a film again are
all in the test part. Asked is how well it tells the labels that were mined from reports, within one
view and over both, what it decides by, and how well it tells what the radiologists saw: a model
would ship if it followed the lungs and if these films told it apart from chance. A run that was cut
off goes on after the last command. Needs MEDINV_DATA; a quarter of an hour on one core.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from medinv.metrics import Estimate, auc, clustered, proportion
from pipelines.radiographs.lesions import Adults, adults, rows_of
from pipelines.radiographs.subjects import Subject, subject
from pipelines.record import ROOT, Table, record
from pipelines.sets.commands import run
from pipelines.sets.inputs import data

FOLDER, SIZE = "nih_cxr_256", 128
AGAIN = "airspace_opacity", "yes"
FEWEST = 5  # films of either kind, of which an AUC is told
CONFIG = ROOT / "configs" / "chest-xray-adult.yaml"
COMMANDS = {  # by what they make
    "set/dataset.json": f"prepare DATA/{FOLDER} --labels labels.csv --size {SIZE} "
    "--classes 'no finding,pneumonia' --name chest-xray-adult --out set",
    "model/card.json": f"train {CONFIG} --set data.folder=OUT/set --out model",
    "audit/audit.json": "audit model --out audit",
}
AUDITED = (
    "whole.auc",
    "region-alone.auc",
    "region-blanked.auc",
    "exchange.follows-region",
    "exchange.follows-surround",
)
CLAIM = """\
Should a model for adults ship? The films of adults at hand have labels that were mined from
reports, the view goes with the label, and few were read again by radiologists. Whether a model that
is trained on them decides by the lungs, and tells what radiologists saw, stands below. The weights
that training starts from have seen lungs of some of these patients in composed films, which can
only flatter. None ships: what is missing is films of adults that were read for the purpose, a few
hundred of either kind, with both kinds in either view."""


def lay_out(out: Path) -> None:
    """The labels, with every patient of whom a film was read again in the test part."""
    rows = rows_of(data(FOLDER) / "labels.csv")
    again = {row["patient"] for row in rows if row[AGAIN[0]]}
    out.mkdir(parents=True, exist_ok=True)
    with (out / "labels.csv").open("w", newline="") as file:
        sheet = csv.DictWriter(file, rows[0].keys())
        sheet.writeheader()
        sheet.writerows(
            row | {"split": "test" if row["patient"] in again else row["split"]} for row in rows
        )


def told(one: Subject, name: str, some: Adults) -> Iterator[tuple[str, str]]:
    """How well the label of some films is told, over both views and within each."""
    odds = one.odds(torch.from_numpy(some.images).float())
    for view in (None, "AP", "PA"):
        rows = np.ones(len(odds), bool) if view is None else some.views == view
        ill, where = some.labels[rows], "" if view is None else f", {view} alone"
        counts = f"{ill.sum()} of {len(ill)} films"
        if min(ill.sum(), len(ill) - ill.sum()) >= FEWEST:
            area = clustered(auc, ill, odds[rows], some.patients[rows])
            yield f"{name}{where} ({counts}): AUC", str(area)
    share = proportion(odds[some.labels == 0] >= 0)
    yield f"{name}: those without called pneumonia", str(share)


def audited(out: Path) -> Iterator[tuple[str, str]]:
    """What the audit says it decides by."""
    audit = json.loads((out / "audit" / "audit.json").read_text())
    yield "audit", audit["verdict"]["sentence"]
    for figure in audit["figures"]:
        if figure["key"] in AUDITED:
            yield f"audit, {figure['name']}", str(Estimate(**figure["estimate"]))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/chest-xray-adult"))
    out = parser.parse_args().out.resolve()
    lay_out(out)
    for gives, words in COMMANDS.items():
        if not (out / gives).is_file():
            said = run(words.replace("OUT", str(out)), out)
            print(said["out"], flush=True)
            if said["code"]:
                raise SystemExit(said["code"])
    one = subject(str(out / "model"), str(CONFIG))
    rows = [
        *told(one, "labels of reports", adults(SIZE, out / "labels.csv")),
        *told(one, "opacity, as radiologists saw it", adults(SIZE, out / "labels.csv", *AGAIN)),
        *audited(out),
    ]
    table = Table("Test films", ("", "value"), rows, "With 95 % intervals, by patients.")
    page = record(
        "radiographs-adults",
        title="Chest radiographs: why no model for adults ships",
        claim=CLAIM,
        tables=[table],
        made={"command": "python -m pipelines.radiographs.adults", "seed": one.config.seed},
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
