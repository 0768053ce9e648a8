"""How far a change of stored features moves the image, written into a model's card.

    python -m pipelines.seeds.firenet.robustness --model NAME [...] [--images 5] [--steps 15]

On test images of the model's own set (fresh bodies where it is generated; MEDINV_DATA names the
folder of the others). Of a shipped model the card is pinned anew; new weights need it again. The
search takes one to twelve processor seconds an image.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

from medinv.models.base import InvertibleNetwork
from medinv.models.store import keep_robustness, load_invertible
from medinv.models.stored import Robustness
from pipelines.seeds.firenet.perturb import CHANGE, movements
from pipelines.seeds.subjects import known_images


def told_by_features(model: InvertibleNetwork, count: int) -> list[tuple[Tensor, Tensor]]:
    """Images that the model knows and their features, one by one."""
    return [(x, model.features(x)) for x in known_images(model, count).split(1)]


def measured(model: InvertibleNetwork, count: int, steps: int) -> Robustness:
    """Medians over `count` images; ascent of `steps` steps."""
    model = model.requires_grad_(False)
    given = told_by_features(model, count)
    found = movements(given, model.invert, steps)
    shares = (float(np.median(each)) for each in (found.random, found.sought, found.bearable))
    return Robustness(
        change=CHANGE,
        **dict(zip(("random", "sought", "half_level"), shares, strict=True)),
        images=len(given),
        steps=steps,
        weights_sha256=model.card.weights_sha256,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", required=True, help="shipped names or folders")
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15, help="of the ascent")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.model:
        found = measured(load_invertible(name), given.images, given.steps)
        print(name, keep_robustness(name, found).robustness, found.sentence, sep="\n")


if __name__ == "__main__":
    main()
