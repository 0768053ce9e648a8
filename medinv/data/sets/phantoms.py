"""Generated radiographs of a simulated thorax, clear or with lung opacities."""

import numpy as np

from medinv.config import PhantomData
from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, VALIDATION_SEED, Recipe, draw, radiographs
from medinv.data.phantoms.sets import thumbnails
from medinv.data.sets.labelled import RESIZED, DataSet, LabelledImages, Part, Progress


def load_phantoms(settings: PhantomData, progress: Progress) -> LabelledImages:
    """Training bodies with and without their opacities; validation and test bodies as they come."""
    training, validation, test = settings.counts
    progress(
        f"generating {training} bodies for training, {validation} for validation, "
        f"{test} for testing"
    )
    return LabelledImages(
        _pairs(training, settings.size),
        bodies(validation, settings.size, VALIDATION_SEED),
        bodies(test, settings.size, TEST_SEED),
    )


def _pairs(count: int, size: int) -> Part:
    """Every body of the training seed twice, without and with its opacity, all else the same.

    The label is then told by the opacity alone.
    """
    images = np.empty((count, 2, 1, size, size), np.uint8)
    for i in range(count):
        images[i, :, 0] = thumbnails(draw(TRAIN_SEED, i, Recipe(opacity_share=1.0)), size)
    return Part(
        images.reshape(-1, 1, size, size),
        np.tile([0, 1], count),
        TRAIN_SEED * 1_000_000 + np.repeat(np.arange(count), 2),
    )


def bodies(count: int, size: int, seed: int, recipe: Recipe = Recipe()) -> Part:
    """Every body of a seed once, about half with opacities."""
    made = radiographs(count, size, seed, recipe=recipe)
    labels, patients = made.labels.astype(np.int64), seed * 1_000_000 + np.arange(count)
    return Part(made.images[:, None], labels, patients)


PHANTOMS = DataSet(PhantomData, load_phantoms, intake=RESIZED, region="lungs")
