"""What a model's counterfactuals are worth: python pipelines/counterfactuals.py --judge FOLDER [FOLDER ...] [--ascent] [--witness FOLDER] [--part validation]

For correctly classified images of each class, by design (along the class direction; with --ascent sought in the features; the same with a witness, an ordinary
network made by `medinv train configs/chest-xray-twin.yaml --set seed=1`; by the transport between the classes, as reports show it, and that transport without
the model): how many edits flip the stored image's answer, stay in scope by likelihood, and convince each judge, other ordinary networks that no design has
seen; how large they are; how alike (mean cosine between the edits of different images: 1 is a template). Beside them the controls of the same size as the last
design's edits: the fixed class-mean difference, noise and blur. Writes counterfactuals.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from medinv.batch.results import write_atomically
from medinv.calibrate import in_batches
from medinv.data.labelled import Part
from medinv.data.load import load_images
from medinv.explain.ascent import Search, seek
from medinv.explain.controls import equal_changes, mean_cosine
from medinv.explain.transported import Way, transported
from medinv.models.calibrated import Calibrated
from medinv.models.cases import load_cases
from medinv.models.classifier import Classifier
from medinv.models.store import load
from medinv.models.transport import Transport

SEED = 0
BATCH = 10
HEADINGS = ("design", "from", "to", "images", "flipped", "in scope", "judges agree", "median RMS, grey levels", "pixels out of range", "mean cosine of edits")


def called(model: Calibrated, images: np.ndarray) -> np.ndarray:
    """Class 0 or 1 of stored images (N, 1, H, W) uint8."""
    return (in_batches(model.probabilities, model, images)[:, 1] >= model.threshold).long().numpy()


def along_direction(model: Classifier, x: torch.Tensor, target: int) -> torch.Tensor:
    """The features moved along the class direction to the target's typical log-odds, as `medinv.explain.counterfactual` does."""
    z = model.features(x)
    direction, logits = model.means[1] - model.means[0], model.logits_of(z)
    t = (model.typical_odds[target] - (logits[:, 1] - logits[:, 0])) / direction.square().sum()
    z[:, : direction.shape[0]] += t[:, None, None, None] * direction
    return z


def by_classes_alone(model: Classifier, transport: Transport, x: torch.Tensor, target: int) -> torch.Tensor:
    """The features of images that went the transport's part of the way and nothing more: what the model adds is missing."""
    step = transport.step(x, target)
    return model.features((x + Way().length * step / step.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(0, 255))


def witness_odds(witness: Calibrated, train: Part, share: float) -> dict[int, float]:
    """For each target, `share` of the median calibrated log-odds that the witness gives training images of it."""
    some = np.random.default_rng(SEED).permutation(len(train))[:400]
    odds = in_batches(lambda x: witness.log_odds(witness.logits(x)), witness, train.images[some]).numpy()
    return {k: share * float(np.median(odds[train.labels[some] == k])) for k in (0, 1)}


def row(name: str, model: Classifier, judges: list[Calibrated], images: np.ndarray, decoded: np.ndarray, source: int) -> tuple[str, ...]:
    """Measure edited images (N, 1, H, W), as decoded, of images of one class."""
    stored = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    scope = in_batches(lambda x: model.read(x).scope, model, stored) <= model.scope_threshold
    edits = stored[:, 0].astype(float) - images[:, 0]
    agrees = ", ".join(f"{(called(judge, stored) == 1 - source).mean():.2f}" for judge in judges) or "-"
    out = ((decoded < -0.5) | (decoded > 255.5)).mean()
    figures = (f"{(called(model, stored) == 1 - source).mean():.2f}", f"{scope.double().mean().item():.2f}", agrees)
    size = f"{np.median(np.sqrt(np.square(edits).mean((1, 2)))):.1f}"
    return (name, model.classes[source], model.classes[1 - source], str(len(images)), *figures, size, f"{out:.2%}", f"{mean_cosine(edits):.2f}")


def decode(model: Classifier, images: np.ndarray, edit: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    with torch.enable_grad():
        features = torch.cat([edit(torch.from_numpy(images[i : i + BATCH]).float()).detach() for i in range(0, len(images), BATCH)])
    with torch.no_grad():
        return torch.cat([model.invert(z) for z in features.split(BATCH)]).numpy()


def controls(images: np.ndarray, edited: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
    """Changes of the same size by name, (N, 1, H, W)."""
    stored = np.clip(np.rint(edited), 0, 255).astype(np.uint8)
    found = [equal_changes(x[0], y[0], lambda image: 0.0, lambda logit: False, class_step=step) for x, y in zip(images, stored)]
    return {f"control: {each[0].name}": np.stack([c.image for c in each])[:, None].astype(float) for each in zip(*found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="chest-xray")
    parser.add_argument("--witness", type=Path)
    parser.add_argument("--judge", type=Path, nargs="+", default=[])
    parser.add_argument("--ascent", action="store_true", help="also the designs that are sought: a second an image and more")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/counterfactuals"))
    options = parser.parse_args()
    model = load(options.model, dtype=torch.float32).requires_grad_(False)
    kept = load_cases(options.model)
    witness, *judges = (load(path, dtype=torch.float32).requires_grad_(False) if path else None for path in (options.witness, *options.judge))
    data = load_images(model.card.config.data)
    part, search = getattr(data, options.part), Search()
    means = [data.train.images[data.train.labels == k].mean((0, 1)) for k in (0, 1)]
    odds = witness_odds(witness, data.train, search.share) if witness else {}
    answers, rows = called(model, part.images), []
    for source in (0, 1):
        target, right = 1 - source, np.flatnonzero((part.labels == source) & (answers == source))
        images = part.images[np.random.default_rng(SEED).permutation(right)[: options.count]]
        designs: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
            "class direction": lambda x: along_direction(model, x, target),
        }
        if options.ascent:
            designs["ascent"] = lambda x: seek(model, x, target)
        if options.ascent and witness:
            designs["ascent, witness"] = lambda x: seek(model, x, target, witness=witness, witness_odds=odds[target])
        if kept.transport:
            designs["transport alone, no model"] = lambda x: by_classes_alone(model, kept.transport, x, target)
            designs["transport, then class direction"] = lambda x: transported(model, kept.transport, x, target)
        for name, edit in designs.items():
            decoded = decode(model, images, edit)
            rows.append(row(name, model, judges, images, decoded, source))
            print(" | ".join(rows[-1]), flush=True)
        for name, changed in controls(images, decoded, means[target] - means[source]).items():
            rows.append(row(name, model, judges, images, changed, source))
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows)]
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "counterfactuals.md", ("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
