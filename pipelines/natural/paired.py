"""Two models on the test images of the first: accuracy of each and their paired difference.

    MEDINV_DATA=... python -m pipelines.natural.paired cifar10 runs/cifar10-twin-0

Intervals: Wilson for each accuracy; for the difference the normal one over images, with the exact
McNemar probability of so uneven a split of the images on which one model alone is right.
"""

import sys

import numpy as np
import torch
from scipy.stats import binomtest

from medinv.data.sets.load import load_images
from medinv.metrics import proportion
from medinv.models.store import load
from medinv.training.train import predict


def main(first: str, second: str) -> None:
    models = [load(name, dtype=torch.float32) for name in (first, second)]
    test = load_images(models[0].card.config.data).test
    with torch.no_grad():
        right = [
            (predict(model, test).argmax(1).numpy() == test.labels).astype(int) for model in models
        ]
    for name, model, hits in zip((first, second), models, right, strict=True):
        print(
            f"{name:30} {100 * hits.mean():.2f} %  {proportion(hits)}  "
            f"{model.card.config.train.epochs} epochs, {model.card.device}"
        )
    gap = right[0] - right[1]
    half = 1.96 * gap.std() / np.sqrt(len(gap))
    alone = int((gap == 1).sum()), int((gap == -1).sum())
    p = binomtest(alone[0], sum(alone)).pvalue if sum(alone) else 1.0
    print(
        f"difference {100 * gap.mean():+.2f} points "
        f"({100 * (gap.mean() - half):+.2f} to {100 * (gap.mean() + half):+.2f}); "
        f"alone right {alone[0]} and {alone[1]}, p = {p:.2g}"
    )
    print("Research use, not for diagnosis.")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
