"""Sets of small radiographs for training and measurement."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medinv.data.phantoms.draw import Recipe, draw
from medinv.data.phantoms.radiograph import area_resize, display, radiograph
from medinv.data.phantoms.record import Phantom
from medinv.errors import ConfigError

TRAIN_SEED, VALIDATION_SEED, TEST_SEED, SAMPLE_SEED = 1001, 1002, 1003, 1004
"""Seeds of the sets for training, validation and testing, and of the studies in sample_data/;
no phantom of one is in another.
"""
_BEAMS = 128


class Radiographs(NamedTuple):
    """A labelled set: images (n, size, size) uint8; labels (n,) int64, 1 with an opacity; masks
    (n, size, size) bool; contrasts (n,) float64, the mean rise in grey levels inside the mask
    against the clear twin (0 without an opacity); and the phantoms themselves.
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    contrasts: np.ndarray
    phantoms: tuple[Phantom, ...]


def radiographs(
    n: int,
    size: int = 64,
    seed: int = TRAIN_SEED,
    *,
    start: int = 0,
    recipe: Recipe = Recipe(),
    progress: Callable[[int], None] | None = None,
) -> Radiographs:
    """Radiographs start .. start + n - 1 of a seed, as displayed.

    Image i depends on (seed, i, recipe, size) alone. `progress` is called with the number of images
    done. Raises ConfigError if n or size < 1 or start < 0.
    """
    if n < 1 or size < 1 or start < 0:
        raise ConfigError(
            "radiographs: n and size should be at least 1 and start at least 0; "
            f"got n={n}, size={size}, start={start}"
        )
    phantoms = tuple(draw(seed, i, recipe) for i in range(start, start + n))
    images, masks = np.empty((n, size, size), np.uint8), np.empty((n, size, size), bool)
    contrasts = np.zeros(n)
    for i, phantom in enumerate(phantoms):
        images[i], masks[i], contrasts[i] = thumbnail(phantom, size)
        if progress:
            progress(i + 1)
    return Radiographs(images, np.array([p.label for p in phantoms]), masks, contrasts, phantoms)


def thumbnails(phantom: Phantom, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One exposure displayed without and with the phantom's opacities, each (size, size) uint8:
    same body, noise, scatter and window.
    """
    shot = radiograph(phantom, size * -(-_BEAMS // size))
    clear, shown = (
        np.round(area_resize(image.astype(float), size)).astype(np.uint8)
        for image in (display(shot.clear, shot.window), shot.display())
    )
    return clear, shown


def thumbnail(phantom: Phantom, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """One phantom's displayed image (size, size) uint8, mask (size, size) bool
    and contrast in grey levels.

    Exposed on a grid a whole number of times finer (at least 128 beams a side), displayed,
    then averaged over areas: what becomes of a DICOM radiograph of the same phantom when it
    is windowed and resized.
    """
    shot = radiograph(phantom, size * -(-_BEAMS // size))
    shown = area_resize(shot.display().astype(float), size)
    image = np.round(shown).astype(np.uint8)
    if not phantom.opacities:
        return image, np.zeros((size, size), bool), 0.0
    cover = area_resize(shot.mask.astype(float), size)
    mask = cover >= min(0.5, cover.max()) if cover.max() > 0 else np.zeros((size, size), bool)
    without = area_resize(display(shot.clear, shot.window).astype(float), size)
    return image, mask, float((shown - without)[mask].mean()) if mask.any() else 0.0
