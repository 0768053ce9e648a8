"""Images that counterfactuals.py edits, with what is known of them: correctly called films,
and phantoms beside the same bodies without their opacities.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medinv.data.phantoms import TEST_SEED, VALIDATION_SEED, Recipe, radiographs
from medinv.data.sets.load import load_images
from medinv.models.density import Classifier
from pipelines.counterfactuals.measures import Density, fit_density
from pipelines.explanations.subjects import SMALLEST, lesions

SEED = 0
BODIES, FIRST = 400, 60_000  # for the density; no edit was fitted on them
SPARE = 2.2  # bodies drawn for one that is called: half of the opacities are subtle


@dataclass(frozen=True)
class Edited:
    """images (n, H, W) uint8 that are rightly not called `target`; a density of images of that
    class. Of phantoms with opacities also what is planted.
    """

    images: np.ndarray
    target: int
    density: Density
    clear: np.ndarray | None = None
    masks: np.ndarray | None = None
    contrasts: np.ndarray | None = None


def films(
    model: Classifier,
    called: Callable[[np.ndarray], np.ndarray],
    target: int,
    part: str,
    count: int,
) -> Edited:
    """The density is that of validation images for test images, and of training images,
    on which edits were fitted, for validation images.
    """
    data = load_images(model.card.config.data)
    chosen, other = (
        (data.test, data.validation) if part == "test" else (data.validation, data.train)
    )
    right = np.flatnonzero((chosen.labels != target) & (called(chosen.images[:, 0]) != target))
    rows = np.random.default_rng(SEED).permutation(right)[:count]
    return Edited(
        chosen.images[rows, 0], target, fit_density(other.images[other.labels == target, 0])
    )


def phantoms(
    model: Classifier,
    called: Callable[[np.ndarray], np.ndarray],
    target: int,
    part: str,
    count: int,
) -> Edited:
    """To the clear class from bodies with opacities that are called, half of them drawn subtle;
    from the others' clear pictures to the other.
    """
    drawn = lesions(int(SPARE * count), TEST_SEED if part == "test" else VALIDATION_SEED)
    density = fit_density(
        radiographs(
            BODIES, 64, VALIDATION_SEED, start=FIRST, recipe=Recipe(opacity_share=float(target))
        ).images
    )
    if target:
        return Edited(drawn.empties[called(drawn.empties) == 0][:count], 1, density)
    rows = np.flatnonzero((called(drawn.images) == 1) & (drawn.masks.sum((1, 2)) >= SMALLEST))[
        :count
    ]
    return Edited(
        drawn.images[rows],
        0,
        density,
        drawn.empties[rows],
        drawn.masks[rows],
        drawn.contrasts[rows],
    )
