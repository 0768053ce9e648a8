"""Counterfactuals on films: what each changes, and whether other networks believe it.

    python -m pipelines.radiographs.edits --judge FOLDER [FOLDER ...] [--part validation|test]
        [--films 60]

Of films that the shipped chest-xray calls rightly, the counterfactual that `explain` would show:
how it was made, whether its re-checks hold, how much of the film it changes and where. The judges
are ordinary networks that were trained with composed films and had no say in any choice: how many
of the edits that hold they answer as the target, beside how many of the unchanged films they
answer so. Beside them stand controls: the same exchange with donors of the film's own label,
changes of the same size that mean nothing, the edit where another film's mask lies, and one that a
head of random direction asks for. Then the smallest part of the lungs that changes the answer, its
share of them and how many judges it convinces. Then normal films with a planted disc that are
called pneumonia, filled in where the evidence points: whether the edit lies on the disc, what is
left of its rise, and how much else changes.

Judges: `medinv train configs/chest-xray-judge.yaml --set seed=N --out FOLDER`, N 11 to 15. Needs
MEDINV_DATA.
Of test films the page pipelines/results/radiographs-edits.md is written. About ten seconds a film.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.audit.planted import plantings
from medinv.audit.sample import Region, Sample
from medinv.data.sets.load import load_images
from medinv.explanation.counterfactual import counterfactual, exchange
from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.counterfactual.exchange import exchanged
from medinv.explanation.counterfactual.smallest import find
from medinv.explanation.explain import local_evidence_of
from medinv.explanation.ground import region_of
from medinv.explanation.result import CHANGED, Counterfactual
from medinv.metrics import Estimate, proportion
from medinv.models.base import Calibrated
from medinv.models.density import Classifier
from medinv.models.store import load
from pipelines.counterfactuals.run import called
from pipelines.radiographs.controls import controls
from pipelines.radiographs.measures import mean_of
from pipelines.radiographs.variants import films_of
from pipelines.record import Table, record

COUNTED = ("share", "chosen")
MODEL, PLANTED = "chest-xray", "one disc of radius 8, 100"
FILLED = "answered normal by filling a part in"
OF_FINDING = (
    "share of the squared change on the finding",
    "share of its rise that is left",
    "share of the pixels changed",
)
CLAIM = """\
What would have made the answer another? Of a film that is called normal, the faintest round
brightening that suffices; of one that is called pneumonia, the part that speaks for it filled in
or, where no part suffices, the lungs of another child that are answered normal. A change that
convinces only the model it was made for says something about the model alone; so other networks
are asked. The smallest part of the lungs that changes the answer is such a change: it says what
this model answers by."""
SMALLEST_NOTE = """\
Found: some part of the lungs, exchanged for what the most similar film of the other label shows
there, changes the answer in scope; without any one of its cells it does not. The columns after
`found` are of those."""


@dataclass(frozen=True)
class Edit:
    """A film's counterfactual, and where it may change."""

    film: Tensor  # (1, 1, H, W)
    made: Counterfactual
    inside: np.ndarray  # (H, W) bool, the lungs and a margin


def edits(model: Classifier, films: Tensor, target: int) -> Iterator[Edit]:
    """Of each film (N, 1, H, W) what `explain` would show."""
    for film in films.split(1):
        local = local_evidence_of(model, film)
        inside = np.ones(film.shape[2:], bool) if local.region is None else local.region
        made, _ = counterfactual(model, film, target, local)
        yield Edit(film, made, inside)


def whole_lungs(model: Classifier, films: Tensor, target: int) -> Iterator[Edit]:
    """Of each film the edit by another child's lungs alone."""
    for film in films.split(1):
        made = exchange.counterfactual(model, film, target, None)
        if made is not None:
            yield Edit(film, made, region_of(model, film))


def shams(model: Classifier, films: Tensor, label: int) -> Iterator[Edit]:
    """The same films with the lungs of the most similar donor of their own label."""
    reference = model.reference
    for film in films.split(1):
        other = exchanged(reference.region, reference.donors, film, label)[:1]
        inside = region_of(model, film)
        yield Edit(film, from_image(model, film, 1 - label, other, "exchange"), inside)


def believed(judges: list[Calibrated], images: np.ndarray, target: int) -> Estimate:
    """Answers of all judges to images (N, H, W) that are the target."""
    return proportion(np.concatenate([called(judge, images) == target for judge in judges]))


def told(name: str, made: list[Edit], judges: list[Calibrated], target: int) -> list[str]:
    """A row of the table of edits."""
    held = [one for one in made if one.made.valid]
    methods = [one.made.method for one in made]
    counts = ", ".join(f"{m} {methods.count(m)}" for m in dict.fromkeys(methods))
    inside = [
        np.square(one.made.difference[one.inside]).sum() / np.square(one.made.difference).sum()
        for one in held
    ]
    images = np.stack([one.made.image for one in held]) if held else None
    before = np.stack([one.film[0, 0].numpy() for one in made])
    return [
        name,
        counts,
        str(proportion(np.array([one.made.valid for one in made]))),
        str(mean_of(np.array([one.made.changed for one in held]))) if held else "-",
        str(mean_of(np.array(inside))) if held else "-",
        str(believed(judges, images, target)) if held else "-",
        str(believed(judges, before, target)),
    ]


def smallest(
    name: str, model: Classifier, films: Tensor, judges: list[Calibrated], target: int
) -> list[str]:
    """A row of the table of smallest parts: films (N, 1, H, W) that are called the other label."""
    named = model.classes[target]
    found = [find(model, film, named, region_of(model, film)) for film in films.split(1)]
    parts = [part for part in found if part is not None and part.valid]
    images = np.stack([part.edit.image for part in parts]) if parts else None
    return [
        name,
        str(proportion(np.array([part is not None and part.valid for part in found]))),
        *(
            [str(mean_of(np.array([getattr(part, key) for part in parts]))) for key in COUNTED]
            if parts
            else ["-"] * len(COUNTED)
        ),
        str(mean_of(np.array([part.edit.changed for part in parts]))) if parts else "-",
        str(believed(judges, images, target)) if parts else "-",
    ]


def controlled(
    name: str, model: Classifier, made: list[Edit], judges: list[Calibrated], target: int
) -> list[list[str]]:
    """Rows of the table of controls, beside the edits that hold."""
    held = [(one.film, one.made) for one in made if one.made.valid]
    if not held:
        return []
    shown = [("the edit", np.stack([edit.image for _, edit in held]))]
    return [
        [name, kind, str(believed([model], images, target)), str(believed(judges, images, target))]
        for kind, images in (*shown, *controls(model, held, target))
    ]


def planted(
    model: Classifier, films: Sample, region: Region, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Normal films (N, 1, H, W) with PLANTED that are called pneumonia, where it lies (N, H, W),
    and the films without it; at most `count`.
    """
    plant = next(one for one in plantings(films, region) if one.name == PLANTED)
    seen = torch.from_numpy(called(model, plant.images[:, 0].numpy()).nonzero()[0])[:count]
    return plant.images[seen], plant.where[seen], films.images[plant.rows[seen]]


def filled(model: Classifier, films: Tensor, where: Tensor, plain: Tensor) -> list[list[str]]:
    """Rows on planted findings that were filled in: films with (N, 1, H, W) and without them."""
    found, held = [], []
    for film, spot, before in zip(films.split(1), where.numpy(), plain.split(1), strict=True):
        made, _ = counterfactual(model, film, 0, local_evidence_of(model, film))
        held.append(made.valid and made.method == "inpainting")
        found.append(on_finding(made, film, spot, before))
    values = [str(proportion(np.array(held))), *map(str, map(mean_of, np.array(found).T))]
    return [list(row) for row in zip((FILLED, *OF_FINDING), values, strict=True)]


def on_finding(
    made: Counterfactual, film: Tensor, spot: np.ndarray, before: Tensor
) -> tuple[float, float, float]:
    """OF_FINDING of an edit of a film (1, 1, H, W) with a finding at `spot` (H, W), and without."""
    square, rise = np.square(made.difference), (film - before)[0, 0].numpy()
    near = F.max_pool2d(torch.from_numpy(spot)[None, None], 9, 1, 4)[0, 0].numpy() > 0
    after = made.image.astype(float) - before[0, 0].numpy()
    return (
        square[near].sum() / square.sum(),
        (after * spot).sum() / (rise * spot).sum(),
        (np.abs(made.difference) > CHANGED).mean(),
    )


def called_rightly(model: Classifier, films: Sample, label: int, count: int) -> Tensor:
    """At most so many of the films (N, 1, H, W) of a label that are called so.

    They are drawn evenly: neighbours are films of one patient.
    """
    images = films.images[films.rows(label)]
    right = torch.nonzero(torch.from_numpy(called(model, images[:, 0].numpy()) == label))[:, 0]
    evenly = torch.linspace(0, len(right) - 1, min(count, len(right)))
    return images[right[evenly.round().long()]]


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", nargs="+", required=True, help="model folders")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--films", type=int, default=60, help="of each label")
    options = parser.parse_args()
    model = load(MODEL, Classifier, dtype=torch.float32)
    judges = [load(folder, Calibrated, dtype=torch.float32) for folder in options.judge]
    films, region = films_of(load_images(model.card.config.data), options.part)
    rows, beside, parts = [], [], []
    for label, name in ((1, "pneumonia to normal"), (0, "normal to pneumonia")):
        some = called_rightly(model, films, label, options.films)
        made = list(edits(model, some, 1 - label))
        rows.append(told(name, made, judges, 1 - label))
        whole = list(whole_lungs(model, some, 1 - label))
        rows.append(told(f"{name}, whole lungs", whole, judges, 1 - label))
        same = list(shams(model, some, label))
        rows.append(told(f"{name}, sham", same, judges, 1 - label))
        beside += controlled(name, model, made, judges, 1 - label)
        parts.append(smallest(name, model, some, judges, 1 - label))
        print(*rows[-3:], *beside, parts[-1], sep="\n", flush=True)
    seen = planted(model, films, region, options.films)
    cells = filled(model, *seen)
    columns = ("edit", "made by", "holds", "pixels changed", "change in the lungs")
    tables = [
        Table(
            "Edits of films",
            (*columns, "judges: target", "judges: target before"),
            rows,
            f"{options.part} films that the model calls rightly; the columns after `holds` are of "
            f"edits that hold. {len(judges)} judges, every answer counted.",
        ),
        Table(
            "Controls",
            ("edit", "change", "this model: target", "judges: target"),
            beside,
            "Of the edits that hold. Noise, blur and the difference of the class means have the "
            "size of the edit (root mean square).",
        ),
        Table(
            "The smallest part of the lungs that changes the answer",
            ("edit", "found", "share of the lungs", "cells", "pixels changed", "judges: target"),
            parts,
            SMALLEST_NOTE,
        ),
        Table(f"Planted: {PLANTED}, called pneumonia ({len(seen[0])})", ("", "value"), cells),
    ]
    print(*(table.markdown() for table in tables), sep="\n")
    if options.part == "test":
        record(
            "radiographs-edits",
            title="Chest radiographs: what would have changed the answer",
            claim=CLAIM,
            tables=tables,
            made={
                "command": "python -m pipelines.radiographs.edits --part test "
                f"--films {options.films} --judge {' '.join(options.judge)}",
                "weights": model.card.weights_sha256[:12],
                "processor seconds": round(time.process_time() - began),
            },
        )


if __name__ == "__main__":
    main()
