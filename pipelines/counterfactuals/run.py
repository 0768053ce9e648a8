"""What a model's counterfactuals are worth.

    python -m pipelines.counterfactuals.run --judge FOLDER [FOLDER ...]
        [--ascent] [--witness FOLDER] [--part validation]

For correctly classified images of each class, by design (along the class direction; with --ascent
sought in the features; the same with a witness, an ordinary network made by `medinv train
configs/chest-xray-twin.yaml --set seed=1`; by the transport between the classes, and that transport
without the model; the part that speaks filled in; the faintest brightening that suffices): how many
edits flip the stored image's answer, stay in scope by likelihood, and convince each judge, other
ordinary networks that no design has seen (for phantoms those of configs/phantom-opacity-twin.yaml);
how large they are; how alike (mean cosine between the edits of different images: 1 is a template);
how much of the image changes, how much of the change lies outside the body, what of the fine
structure stays, how likely the edited image is under a density of its own, whether it decodes
exactly, and whether the same change flips the answer half an image away. On phantoms also whether
the planted opacity is gone. Beside them the controls of the same size as the last design's edits:
the fixed class-mean difference, noise and blur. Writes a results page a model.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from medinv.explanation.sanity import equal_changes, mean_cosine
from medinv.models.base import Calibrated
from medinv.models.density import Classifier
from medinv.models.store import load
from medinv.training.calibrate import in_batches
from pipelines.counterfactuals.designs import designs
from pipelines.counterfactuals.measures import locality, moved_changes, removal
from pipelines.counterfactuals.subjects import Edited, films, phantoms
from pipelines.record import Table, record

BATCH = 10
VISIBLE = 8  # grey levels
HEADINGS = (
    "design",
    "to",
    "images",
    "flipped",
    "in scope",
    "judges agree",
    "median RMS, grey levels",
    "pixels out of range",
    "mean cosine of edits",
    "pixels changed",
    "change outside the body",
    "fine structure kept",
    "true images less likely",
    "decoded exactly",
    "half an image away, flips",
    "opacity within the body's SD",
    "within its texture's",
    "its rise, grey levels",
    "within the body's SD, visible",
    "within its texture's, visible",
    "its rise, visible",
)


def called(model: Calibrated, images: np.ndarray) -> np.ndarray:
    """Class 0 or 1 of stored images (N, H, W) uint8, at the size that the model reads."""
    asked = torch.from_numpy(images[:, None]).float()
    own = F.interpolate(asked, size=model.card.config.image_shape[1:], mode="area").round().numpy()
    return (in_batches(model.probabilities, model, own)[:, 1] >= model.threshold).long().numpy()


def row(
    name: str, model: Classifier, judges: list[Calibrated], given: Edited, decoded: np.ndarray
) -> tuple[str, ...]:
    """Measure edited images (N, H, W), as decoded, of images of one class."""
    images, target = given.images, given.target
    stored = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    scope = (
        in_batches(lambda x: model.read(x).scope, model, stored[:, None]) <= model.scope_threshold
    )
    again = in_batches(lambda x: model.invert(model.features(x)), model, stored[:, None])[
        :, 0
    ].numpy()
    agrees = ", ".join(f"{(called(judge, stored) == target).mean():.2f}" for judge in judges) or "-"
    edits = stored.astype(float) - images
    away = np.mean([called(model, moved) == target for moved in moved_changes(images, stored)])
    found = [
        f"{(called(model, stored) == target).mean():.2f}",
        f"{scope.double().mean().item():.2f}",
        agrees,
        f"{np.median(np.sqrt(np.square(edits).mean((1, 2)))):.1f}",
        f"{((decoded < -0.5) | (decoded > 255.5)).mean():.2%}",
        f"{mean_cosine(edits):.2f}",
        *locality(images, stored),
        f"{np.median(given.density.percentiles(stored)):.2f}",
        f"{(np.rint(again) == stored).all((1, 2)).mean():.2f}",
        f"{away:.2f}",
    ]
    if given.masks is not None:
        seen = given.contrasts >= VISIBLE
        found += removal(images, stored, given.clear, given.masks) + removal(
            *(part[seen] for part in (images, stored, given.clear, given.masks))
        )
    return (
        name,
        model.classes[target],
        str(len(images)),
        *found,
        *["-"] * (len(HEADINGS) - 3 - len(found)),
    )


def decode(
    model: Classifier, images: np.ndarray, edit: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    with torch.enable_grad():
        features = torch.cat(
            [
                edit(torch.from_numpy(images[i : i + BATCH, None]).float()).detach()
                for i in range(0, len(images), BATCH)
            ]
        )
    with torch.no_grad():
        return torch.cat([model.invert(z) for z in features.split(BATCH)])[:, 0].numpy()


def controls(images: np.ndarray, edited: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
    """Changes of the same size by name, (N, H, W)."""
    stored = np.clip(np.rint(edited), 0, 255).astype(np.uint8)
    found = [
        equal_changes(x, y, lambda image: (0.0, False), class_step=step)
        for x, y in zip(images, stored, strict=True)
    ]
    return {
        f"control: {each[0].name}": np.stack([c.image for c in each]).astype(float)
        for each in zip(*found, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="chest-xray")
    parser.add_argument("--witness", type=Path)
    parser.add_argument("--judge", type=Path, nargs="+", default=[])
    parser.add_argument(
        "--ascent",
        action="store_true",
        help="also the designs that are sought: a second an image and more",
    )
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--only", nargs="+", default=[], help="names of designs")
    options = parser.parse_args()
    model = load(options.model, dtype=torch.float32).requires_grad_(False)
    reference = model.reference
    witness, *judges = (
        load(path, dtype=torch.float32).requires_grad_(False) if path else None
        for path in (options.witness, *options.judge)
    )
    subject = phantoms if model.card.config.data.set == "phantoms" else films
    step, rows = (reference.class_means[1] - reference.class_means[0])[0].numpy(), []
    for target in (1, 0):
        given = subject(
            model, lambda images: called(model, images), target, options.part, options.count
        )
        found = designs(model, target, ascent=options.ascent, witness=witness)
        for name, edit in found.items():
            if options.only and name not in options.only:
                continue
            decoded = decode(model, given.images, edit)
            rows.append(row(name, model, judges, given, decoded))
            print(" | ".join(rows[-1]), flush=True)
        for name, changed in {
            "as it was": given.images.astype(float),
            **controls(given.images, decoded, step if target else -step),
        }.items():
            rows.append(row(name, model, judges, given, changed))
            print(" | ".join(rows[-1]), flush=True)
    page = record(
        f"counterfactuals-{options.model}",
        title=f"Counterfactuals of {options.model} and their controls",
        claim="What each design's edits flip, convince and cost, "
        "beside changes of the same size that mean nothing.",
        tables=[Table(f"Designs, {options.part} images", HEADINGS, rows)],
        made={"command": "python -m pipelines.counterfactuals.run " + " ".join(sys.argv[1:])},
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
