"""Generated radiographs with a label that an explanation must see through.

marker: 90 % of the bodies with an opacity and 10 % of the clear ones carry a lead letter in a
corner, so that the letter is the easier way to the label. sham: no letter, and the labels are
permuted in every part, so that there is nothing to find.
"""

import numpy as np

from medinv.config import ControlPhantomData
from medinv.data.phantoms import Recipe
from medinv.data.sets.labelled import RESIZED, DataSet, LabelledImages, Part, Progress
from medinv.data.sets.phantoms import bodies

SEEDS = (2001, 2002, 2003)  # of training, validation and test bodies: none of another set
MARKED = Recipe(marker="left", marker_shares=(0.1, 0.9))


def load_control_phantoms(settings: ControlPhantomData, progress: Progress) -> LabelledImages:
    """Bodies as they come, each once, in every part."""
    progress(f"generating {sum(settings.counts)} bodies")
    make = {"marker": _marked, "sham": _sham}[settings.control]
    pairs = zip(settings.counts, SEEDS, strict=True)
    return LabelledImages(*(make(count, settings.size, seed) for count, seed in pairs))


def _marked(count: int, size: int, seed: int) -> Part:
    return bodies(count, size, seed, MARKED)


def _sham(count: int, size: int, seed: int) -> Part:
    part = bodies(count, size, seed)
    labels = np.random.default_rng(seed).permutation(part.labels)
    return Part(part.images, labels, part.patients)


CONTROL_PHANTOMS = DataSet(
    ControlPhantomData, load_control_phantoms, intake=RESIZED, region="lungs"
)
