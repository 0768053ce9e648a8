"""Generated radiographs with a label that an explanation must see through, for `medinv prepare`.

    python -m pipelines.datasets.controls {marker,sham} --out FILE.npz

marker: 90 % of the bodies with an opacity and 10 % of the clear ones carry a lead letter in a
corner, so that the letter is the easier way to the label. sham: no letter, and the labels are
permuted in every part, so that there is nothing to find. Bodies are as they come, each once.
"""

import argparse
from pathlib import Path

import numpy as np

from medinv.data.phantoms import Recipe
from medinv.data.sets.labelled import Part
from medinv.data.sets.phantoms import bodies

SEEDS = (2001, 2002, 2003)  # of training, validation and test bodies: none of another set
COUNTS, SIZE = (2000, 400, 400), 64
MARKED = Recipe(marker="left", marker_shares=(0.1, 0.9))


def marker(count: int, seed: int) -> Part:
    """Bodies most of whose labels the letter tells."""
    return bodies(count, SIZE, seed, MARKED)


def sham(count: int, seed: int) -> Part:
    """Bodies whose labels tell nothing."""
    part = bodies(count, SIZE, seed)
    labels = np.random.default_rng(seed).permutation(part.labels)
    return Part(part.images, labels, part.patients)


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("control", choices=("marker", "sham"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    make = {"marker": marker, "sham": sham}[given.control]
    parts = [make(count, seed) for count, seed in zip(COUNTS, SEEDS, strict=True)]
    np.savez(
        given.out,
        x=np.concatenate([part.images[:, 0] for part in parts]),
        y=np.concatenate([part.labels for part in parts]),
        split=np.repeat(np.arange(3), COUNTS),
        patient=np.concatenate([part.patients for part in parts]),
    )


if __name__ == "__main__":
    main()
