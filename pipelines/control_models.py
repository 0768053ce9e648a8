"""Two small models that an explanation must see through: python pipelines/control_models.py marker|sham [--out DIR] [--bodies 2000] [--epochs 8] [--seed 0]

marker: 90 % of the bodies with an opacity and 10 % of the clear ones carry a lead letter in a corner, so that the letter is the easier way to the label.
sham: no letter, and the labels are permuted in every part, so that there is nothing to find. Network and recipe are those of configs/phantom-opacity.yaml but for
the length of the training. Writes a model folder; pipelines/faithfulness.py measures where its explanations point. It goes on from its checkpoint.
"""

import argparse
from pathlib import Path

import numpy as np

from medinv.config import load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.phantoms import Recipe, radiographs
from medinv.training.publish import publish
from medinv.training.train import train

CONFIG = Path(__file__).parents[1] / "configs" / "phantom-opacity.yaml"
SEEDS = (2001, 2002, 2003)  # of training, validation and test bodies: none of another set
MARKED = Recipe(marker="left", marker_shares=(0.1, 0.9))
TRAINED_ON = {
    "marker": "Radiographs of a simulated thorax; a lead letter goes with the label in 90 % of them.",
    "sham": "Radiographs of a simulated thorax with permuted labels.",
}


def part(kind: str, bodies: int, seed: int) -> Part:
    made = radiographs(bodies, 64, seed, recipe=MARKED if kind == "marker" else Recipe())
    labels = made.labels.astype(np.int64)
    labels = np.random.default_rng(seed).permutation(labels) if kind == "sham" else labels
    return Part(made.images[:, None], labels, seed * 1_000_000 + np.arange(bodies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=tuple(TRAINED_ON))
    parser.add_argument("--out", type=Path, help="model folder; default runs/phantom-KIND-SEED")
    parser.add_argument("--bodies", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the weights and of the order of the images; the images stay",
    )
    options = parser.parse_args()
    out = options.out or Path("runs") / f"phantom-{options.kind}-{options.seed}"
    # Few steps: an average as long as the shipped model's would keep half of the start.
    changes = (
        f"name=phantom-{options.kind}",
        f"seed={options.seed}",
        f"train.epochs={options.epochs}",
        "train.average=0.98",
    )
    config = load_config(CONFIG, (*changes, f"card.training_data={TRAINED_ON[options.kind]!r}"))
    counts = options.bodies, max(options.bodies // 5, 100), max(options.bodies // 5, 100)
    data = LabelledImages(*(part(options.kind, count, seed) for count, seed in zip(counts, SEEDS)))

    def report(epoch) -> None:
        print(
            f"epoch {epoch.number}  cross-entropy {epoch.cross_entropy:.3f}  {epoch.seconds:.0f} s",
            flush=True,
        )

    trained = train(config, data, checkpoint=out / "checkpoint.pt", report=report)
    card = publish(
        out,
        trained,
        config,
        data,
        command=f"python pipelines/control_models.py {options.kind}",
        foreign={},
    )
    print(
        f"{out}: AUC {card.metrics['auc'].value:.3f}, accuracy {card.metrics['accuracy'].value:.3f}, on images made alike"
    )


if __name__ == "__main__":
    main()
