"""What a model's counterfactuals are worth: python pipelines/counterfactuals.py --model chest-xray [--judge TWIN_FOLDER] [--count 100] [--out DIR]

For correctly classified test images of each class: how many edits flip the stored image's answer, stay in scope by likelihood, and convince an
independently trained ordinary network (the judge, a folder made by `medinv train configs/chest-xray-twin.yaml`); how large they are; and how alike
(mean cosine between the edits of different images: 1 is a template). Writes counterfactuals.md.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from medinv.batch.results import write_atomically
from medinv.calibrate import in_batches
from medinv.data.load import load_images
from medinv.explain.counterfactual import counterfactual
from medinv.models.calibrated import Calibrated
from medinv.models.classifier import Classifier
from medinv.models.store import load

SEED = 0
HEADINGS = ("from", "to", "images", "flipped", "in scope", "judge agrees", "median RMS, grey levels", "pixels out of range", "mean cosine of edits")


def called(model: Calibrated, images: np.ndarray) -> np.ndarray:
    """Class 0 or 1 of stored images (N, 1, H, W) uint8."""
    return (in_batches(model.probabilities, model, images)[:, 1] >= model.threshold).long().numpy()


def row(model: Classifier, judge: Calibrated | None, images: np.ndarray, source: int) -> tuple[str, ...]:
    """Measure the edits of images of one class."""
    dtype = next(model.parameters()).dtype
    edits = [counterfactual(model, torch.from_numpy(image)[None].to(dtype), 1 - source) for image in images]
    flat = np.stack([edit.difference.ravel() for edit in edits])
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    cosine = ((unit @ unit.T).sum() - len(unit)) / (len(unit) * (len(unit) - 1))
    agrees = "-" if judge is None else f"{(called(judge, np.stack([edit.image for edit in edits])[:, None]) == 1 - source).mean():.2f}"
    measured = (np.mean([e.flipped for e in edits]), np.mean([e.in_scope for e in edits]), agrees, np.median([e.rms for e in edits]))
    flips, scoped, agrees, rms = measured
    out = np.mean([e.out_of_range for e in edits])
    return (model.classes[source], model.classes[1 - source], str(len(edits)), f"{flips:.2f}", f"{scoped:.2f}", agrees, f"{rms:.1f}", f"{out:.2%}", f"{cosine:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="chest-xray")
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/counterfactuals"))
    options = parser.parse_args()
    model, judge = load(options.model), load(options.judge) if options.judge else None
    test = load_images(model.card.config.data).test
    answers = called(model, test.images)
    rows = []
    for source in (0, 1):
        right = np.flatnonzero((test.labels == source) & (answers == source))
        chosen = np.random.default_rng(SEED).permutation(right)[: options.count]
        rows.append(row(model, judge, test.images[chosen], source))
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows)]
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "counterfactuals.md", ("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
