"""How clear an answer an edit has to reach, as a share of the target's typical log-odds.

    python -m pipelines.radiographs.shares --judge FOLDER [--films 48]

On validation films, and by a judge that no page of results asks: `medinv train
configs/chest-xray-judge.yaml --set seed=16 --out FOLDER`. Films of pneumonia with the lungs of
another child, by the share that is asked for (`exchange.Choice`); and normal films with a planted
disc that are called pneumonia, filled in (`inpainting.Extent`), or with the lungs of another child
where that is not enough. Writes pipelines/results/radiographs-shares.md. Needs MEDINV_DATA; about
ten minutes on one core.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medinv.data.sets.load import load_images
from medinv.explanation.counterfactual import exchange
from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.counterfactual.exchange import Choice
from medinv.explanation.counterfactual.inpainting import Extent, inpaint
from medinv.explanation.explain import local_evidence_of
from medinv.explanation.result import Counterfactual
from medinv.metrics import proportion
from medinv.models.base import Calibrated
from medinv.models.density import Classifier
from medinv.models.store import load
from pipelines.radiographs.edits import (
    FILLED,
    MODEL,
    OF_FINDING,
    PLANTED,
    believed,
    called_rightly,
    on_finding,
    planted,
)
from pipelines.radiographs.measures import mean_of
from pipelines.radiographs.variants import films_of
from pipelines.record import Table, record

EXCHANGED, FILLED_IN = (0.25, 0.5, 0.75, 1.0, 1.25), (0.5, 0.7, 0.85, 1.0, 1.3)
CLAIM = """\
An edit that just changes the answer of the model that it was made for convinces others less often.
Asked for more, other lungs are sought; but a part that is filled in grows, in the end beyond the
finding, and convinces no more often. How much is asked for was chosen here."""


def _judged(made: list[Counterfactual], judge: Calibrated) -> list[str]:
    """How many hold, and how many of those the judge answers normal."""
    held = [one.image for one in made if one.valid]
    told = str(believed([judge], np.stack(held), 0)) if held else "-"
    return [str(proportion(np.array([one.valid for one in made]))), told]


def exchanges(model: Classifier, films: Tensor, judge: Calibrated) -> list[list[str]]:
    """A row a share: films (N, 1, H, W) of pneumonia."""
    rows = []
    for share in EXCHANGED:
        choice = Choice(share=share)
        some = [exchange.counterfactual(model, x, 0, choice=choice) for x in films.split(1)]
        made = [one for one in some if one is not None]
        changed = mean_of(np.array([one.changed for one in made]))
        rows.append([f"{share:g}", *_judged(made, judge), str(changed)])
        print(rows[-1], flush=True)
    return rows


def fillings(
    model: Classifier, films: Tensor, where: Tensor, plain: Tensor, judge: Calibrated
) -> list[list[str]]:
    """A row a share: normal films with a disc and without, (N, 1, H, W), and where (N, H, W)."""
    expectation, rows = model.reference.expectation, []
    evidence = [local_evidence_of(model, x).locations for x in films.split(1)]
    other = [exchange.counterfactual(model, x, 0) for x in films.split(1)]
    for share in FILLED_IN:
        extent = replace(Extent(), share=share)
        made = [
            from_image(model, x, 0, inpaint(model, expectation, x, e, extent=extent), "inpainting")
            for x, e in zip(films.split(1), evidence, strict=True)
        ]
        shown = [
            one if one.valid else otherwise for one, otherwise in zip(made, other, strict=True)
        ]
        cases = zip(shown, films.split(1), where.numpy(), plain.split(1), strict=True)
        found = np.array([on_finding(*case) for case in cases]).T
        rows.append([f"{share:g}", *_judged(made, judge), *map(str, map(mean_of, found))])
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", required=True, help="a model folder")
    parser.add_argument("--films", type=int, default=48, help="of each kind")
    options = parser.parse_args()
    model = load(MODEL, Classifier, dtype=torch.float32)
    judge = load(options.judge, Calibrated, dtype=torch.float32)
    films, region = films_of(load_images(model.card.config.data), "validation")
    ill = called_rightly(model, films, 1, options.films)
    tables = [
        Table(
            "With the lungs of another child, pneumonia to normal",
            ("share asked for", "holds", "judge: normal", "pixels changed"),
            exchanges(model, ill, judge),
        ),
        Table(
            f"Planted: {PLANTED}, called pneumonia",
            ("share asked for", FILLED, "judge: normal", *OF_FINDING),
            fillings(model, *planted(model, films, region, options.films), judge),
            "The last three columns are of what would be shown: the lungs of another child where "
            "no part that is filled in is enough.",
        ),
    ]
    record(
        "radiographs-shares",
        title="Chest radiographs: how clear an answer an edit has to reach",
        claim=CLAIM,
        tables=tables,
        made={
            "command": "python -m pipelines.radiographs.shares "
            f"--judge {options.judge} --films {options.films}",
            "weights": model.card.weights_sha256[:12],
            "processor seconds": round(time.process_time() - began),
        },
    )


if __name__ == "__main__":
    main()
