"""Does the wrap of circular padding put evidence on the border of films?

    python -m pipelines.radiographs.padding [--epochs 4] [--out runs/padding]

The chest model's recipe at 64 x 64 pixels, trained twice from the same seed, alike but for the
padding of its inverted convolutions: circular, where a film's upper edge touches its lower one, and
zeros. Of validation films: AUC, how much of the evidence lies in a frame of a sixteenth of the
side, and how much of what a white bar at one edge changes in the evidence lies at the other.
Resumes. Needs MEDINV_DATA. About a quarter of an hour on one core; writes
pipelines/results/radiographs-padding.md.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch

from medinv.audit.changes import border_of
from medinv.config import load_config
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import load_images
from medinv.metrics import Estimate, clustered_auc, mean
from medinv.models.density import Classifier
from medinv.models.depths import mean_states
from medinv.training.calibrate import calibrate
from medinv.training.measure import exactness
from medinv.training.train import predict, train
from pipelines.radiographs.subjects import Subject
from pipelines.record import Table, record

PADDINGS = ("circular", "zeros")
SETTINGS = (
    "train.start=null",
    "train.blend=0",
    "train.learning_rate=0.002",
    "data.size=64",
    "data.folder=sets/chest-xray-64",
    "train.compose.negatives=null",
    "train.compose.negatives_sha256=null",
    "model.depths=[2,4,6,6]",
    "model.hidden=[16,24,32,48]",
)
DEPTHS = ("level 2, layer 4: AffineCoupling", "level 2, layer 7: AffineCoupling")
FILMS, BAR, WHITE = 60, 4, 255.0  # films mapped; rows of the bar
CLAIM = """\
The inverse of a circular convolution is one small system a frequency, which is why it is the
default; its price is that opposite edges of an image touch. Asked is whether that shows."""


def trained(padding: str, epochs: int, out: Path) -> Subject:
    """A model of the recipe with that padding; goes on from its checkpoint."""
    settings = (*SETTINGS, f"model.padding={padding}", f"train.epochs={epochs}")
    config = load_config("configs/chest-xray.yaml", settings)
    data = load_images(config.data)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{padding}.pt"
    told = train(config, data, checkpoint=path, report=lambda epoch: print(padding, epoch))
    model = cast(Classifier, told.model)
    calibrate(model, config, data)
    states = mean_states(model.trunk, _films(data, 0).split(32), DEPTHS)
    return Subject(padding, model, config, data, states)


def _films(data: LabelledImages, label: int) -> torch.Tensor:
    return torch.from_numpy(data.train.images[data.train.labels == label][:600]).float()


def measured(one: Subject) -> Iterator[tuple[str, Estimate]]:
    """Rows of one model."""
    part = one.data.validation
    odds = one.model.log_odds(predict(one.model, part)).numpy()
    yield "AUC", clustered_auc(part.labels, odds, part.patients)
    films = torch.from_numpy(part.images[part.labels == 1][:FILMS]).float()
    patients = part.patients[part.labels == 1][:FILMS]
    maps = one.maps(films)
    border = border_of(films.shape[2:])[0].bool().numpy()
    shares = np.abs(maps)[:, border].sum(1) / np.abs(maps).sum((1, 2))
    yield "evidence in the frame", mean(shares, patients)
    yield "area of the frame", mean(np.full(len(maps), border.mean()), patients)
    for edge, name in ((0, "upper"), (1, "left")):
        barred = films.clone()
        barred.transpose(2, 2 + edge)[:, :, :BAR] = WHITE
        changed = np.abs(one.maps(barred) - maps)
        along = changed.sum(2 - edge)
        other = along[:, -BAR:].sum(1) / along[:, BAR:].sum(1)
        text = f"white bar at the {name} edge: share of the change beyond it at the opposite edge"
        yield text, mean(other, patients)
    error = exactness(one.model, part.images[:50]).max_abs_error_float64
    yield "largest error of an image's reconstruction in float64, grey levels", _plain(error)


def _plain(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, n=50)


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("runs/padding"))
    options = parser.parse_args()
    found = {
        padding: dict(measured(trained(padding, options.epochs, options.out)))
        for padding in PADDINGS
    }
    rows = [[row, *(_cell(column[row]) for column in found.values())] for row in found[PADDINGS[0]]]
    note = f"One seed each, {options.epochs} epochs; means with 95 % intervals by patient."
    table = Table("By padding, validation films", ("", *PADDINGS), rows, note)
    print(table.markdown())
    record(
        "radiographs-padding",
        title="Chest radiographs: circular and zero padding",
        claim=CLAIM,
        tables=[table],
        made={
            "command": f"python -m pipelines.radiographs.padding --epochs {options.epochs}",
            "seed": 0,
            "processor seconds": round(time.process_time() - began),
        },
    )


def _cell(value: Estimate) -> str:
    return str(value) if value.high > value.low else f"{value.value:.3g}"


if __name__ == "__main__":
    main()
