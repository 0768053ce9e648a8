"""How places are told (`explanation.place`): over how wide averages, and by the sensitivity.

    python -m pipelines.radiographs.places [MODEL] [--films N]

Findings are planted in validation films of children that the model calls normal, and in those of
adults without finding of nih-adults (see configs/chest-xray.yaml). Of every plant: whether the map,
as evidence is shown, peaks on it, and the AUROC of its pixels. Of films of children with pneumonia:
how far the answer falls when the places that rank first are replaced. No film with a drawn lesion
is read. Needs MEDINV_DATA; about twenty minutes on one core.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medinv.audit.measures import peaks_on, whole_levels
from medinv.audit.planted import patched, plantings
from medinv.audit.sample import Region, Sample, lungs, sample_of
from medinv.data.sets.prepared import read_set
from medinv.explanation.explain import local_evidence_of
from medinv.explanation.ground import grounds_of
from medinv.explanation.local import checked
from medinv.explanation.place import AROUND, BLUR, EVENLY, SHARE, leant, placed
from medinv.explanation.sensitivity import sensitivity
from pipelines.radiographs.measures import mean_of, pixel_areas
from pipelines.radiographs.subjects import Subject, subject
from pipelines.radiographs.variants import films_of
from pipelines.record import Table, record

WAYS = (
    *((blur, 0.0, 0.0, 0.0) for blur in (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08)),
    *((blur, share, 0.0, 0.0) for share in (0.1, 0.2, 0.5) for blur in (0.02, 0.03, 0.04)),
    *((blur, 0.2, evenly, 0.0) for evenly in (0.1, 0.2, 0.3) for blur in (0.02, 0.03, 0.04)),
    *((BLUR, SHARE, EVENLY, leaning) for leaning in (0.3, 0.5, 0.7, 1.0)),
)  # the narrow average, the share of the wide one, that of all the region, and of the sensitivity
LEANINGS = (0.0, 0.3, 0.5, 0.7, 1.0)
PATCHES = 5  # of real pneumonia in one film: what is not in one place
CHILDREN, ADULTS = "children", "adults"
CLAIM = """\
The lungs of a film are estimated, and a term of the evidence stands for a place of some pixels: a
finding may begin a little beyond the outline. So what speaks for a class is told after an average,
a share of it after a wide one, which ranks what lies near to a place before what lies far, and a
share evenly over the lungs, since disease that fills them is not in its strongest places alone.
This is how all three were chosen: by findings planted in validation films. Without an average,
pixels of the finding beyond the outline are lost. Films of adults are foreign to a model of
children. In them a place counts by a power of how far its pixels move the answer, too; in the
children's own films, where the difference from other children's lungs says more, it would cost."""


def told(one: Subject, films: Sample, region: Region, count: int, *, called: bool) -> np.ndarray:
    """Pointing and AUROC, (len(WAYS), 2), means over kinds of plants.

    Of `count` normal films each: of those whose answer the plant changes where `called`, else of
    those answered most normal.
    """
    odds, found = one.odds(films.images), []
    for plant in (*plantings(films, region), *patched(films, region, PATCHES)):
        images, before = whole_levels(plant.images), odds[plant.rows.numpy()]
        changed = np.flatnonzero((before < 0) & (one.odds(images) >= 0))
        rows = torch.from_numpy((changed if called else before.argsort())[:count].copy())
        if len(rows):
            found.append(_of_maps(one, images[rows], (plant.where[rows] > 0.25).numpy()))
    return np.mean(found, 0)


def _of_maps(one: Subject, images: Tensor, where: np.ndarray) -> np.ndarray:
    maps, slopes = one.maps(images), sensitivities(one, images)
    inside = one.model.reference.region.inside(images)[:, 0].numpy()
    films = list(zip(maps, inside, slopes, strict=True))
    shown = [
        np.stack([placed(e, r, *way[:3], sensitivity=s, leaning=way[3]) for e, r, s in films])
        for way in WAYS
    ]
    return np.array([(peaks_on(v, where).mean(), pixel_areas(v, where).mean()) for v in shown])


def sensitivities(one: Subject, images: Tensor) -> np.ndarray:
    """How far each pixel of images (N, 1, H, W) moves the answer, (N, H, W), whatever the scope."""
    return torch.cat([sensitivity(one.model, x) for x in images.split(8)]).numpy()


def falls(one: Subject, films: Tensor) -> np.ndarray:
    """Of films (N, 1, H, W) called pneumonia how far the log-odds fall in their check, (N, L): when
    the places that rank first are replaced by those of another child, by LEANINGS.
    """
    found = []
    for x, slopes in zip(films.split(1), sensitivities(one, films), strict=True):
        local, ground = local_evidence_of(one.model, x), grounds_of(one.model, x)[0, 0]
        found.append([])
        for leaning in LEANINGS:
            # In scope, evidence has no sensitivity: it is weighted before it is placed.
            speaks = leant(local.locations.clip(0), slopes, leaning)
            told = replace(local, locations=np.where(local.region, speaks, 0))
            found[-1].append(checked(one.model, x, told, ground).check.fall)
    return np.array(found)


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="chest-xray", metavar="MODEL")
    parser.add_argument("--films", type=int, default=16, help="of every kind of plant")
    options = parser.parse_args()
    one = subject(options.model, "configs/chest-xray.yaml")
    adults = read_set(Path(os.environ["MEDINV_DATA"]) / "sets" / "nih-adults").data.validation
    sample = sample_of(adults, one.data.train, lungs)
    found = {
        CHILDREN: told(one, *films_of(one.data, "validation"), options.films, called=True),
        ADULTS: told(one, sample, sample.region, options.films, called=False),
    }
    names = [
        f"{blur:g}"
        + (f", {share:.0%} over {AROUND:g}" if share else "")
        + (f", {evenly:.0%} over the lungs" if evenly else "")
        + (f", sensitivity to the power of {leaning:g}" if leaning else "")
        for blur, share, evenly, leaning in WAYS
    ]
    best = names[int(np.mean(list(found.values()), (0, 2)).argmax())]
    cells = [
        [name, *(f"{value:.3f}" for column in found.values() for value in column[k])]
        for k, name in enumerate(names)
    ]
    heads = [f"{who}: {what}" for who in found for what in ("peaks on it", "AUROC")]
    table = Table("By the width of the averages, shares of a side", ("", *heads), cells)
    films, _ = films_of(one.data, "validation")
    ill = films.images[films.rows(1)]
    ill = ill[torch.from_numpy(one.odds(ill) >= 0)][: 2 * options.films]
    fallen = falls(one, ill).T
    cost = Table(
        "Children with pneumonia: what the places that rank first count for",
        ("sensitivity to the power of", "log-odds lost", "less than without"),
        [
            [f"{leaning:g}", str(mean_of(each)), str(mean_of(fallen[0] - each))]
            for leaning, each in zip(LEANINGS, fallen, strict=True)
        ],
        "Twentieth of the pixels replaced by those of another child, as in a report's check.",
    )
    record(
        "radiographs-places",
        title="Chest radiographs: how finely a place can be told",
        claim=CLAIM,
        tables=[table, cost],
        made={
            "command": "python -m pipelines.radiographs.places "
            f"{options.model} --films {options.films}",
            "best mean of all four": best,
            "processor seconds": round(time.process_time() - began),
        },
    )


if __name__ == "__main__":
    main()
