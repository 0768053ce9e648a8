"""A thorax phantom: chest radiographs and CT of invented bodies,
with planted opacities whose truth is known.

`radiographs(n, size, seed)` makes training sets; `draw`,
`radiograph` and `Phantom.clear` make single pictures and their true counterfactuals.
"""

from medinv.data.phantoms.draw import Recipe, draw, place
from medinv.data.phantoms.radiograph import Radiograph, radiograph
from medinv.data.phantoms.record import Anatomy, Exposure, Opacity, Phantom
from medinv.data.phantoms.sets import (
    SAMPLE_SEED,
    TEST_SEED,
    TRAIN_SEED,
    VALIDATION_SEED,
    Radiographs,
    radiographs,
)

__all__ = [
    "SAMPLE_SEED",
    "TEST_SEED",
    "TRAIN_SEED",
    "VALIDATION_SEED",
    "Anatomy",
    "Exposure",
    "Opacity",
    "Phantom",
    "Radiograph",
    "Radiographs",
    "Recipe",
    "draw",
    "place",
    "radiograph",
    "radiographs",
]
