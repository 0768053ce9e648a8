"""Grey levels of images that rescale and one window show, as nearly all of CT and MR are.

One table serves many images of a series.

What it gives is what `grey.grey_levels` gives, value by value.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.grey import inverted, padding_bounds, rescaled, window, window_policy
from medinv.data.dicom.levels import Levels
from medinv.data.dicom.records import Instance

_REMEMBERED = 16  # tables


@dataclass(frozen=True)
class _Recipe:
    """All that the table of the values lowest..highest of a type depends on."""

    lowest: int
    highest: int
    dtype: np.dtype
    rescale: tuple[float, float] | None  # slope, intercept
    window: tuple[float, float, str]  # centre, width, function
    inverted: bool
    padding: tuple[int, int] | None  # first and last value of it, if any occurs


def windowed_levels(
    stored: np.ndarray, fields: Fields, instance: Instance
) -> tuple[Levels, list[str]] | None:
    """Levels of all values of as many bits as the image's, and what was done.

    None where other elements count, or one cannot be used.
    """
    if (
        stored.dtype.itemsize > 2
        or fields.raw("ModalityLUTSequence") is not None
        or fields.raw("VOILUTSequence") is not None
    ):
        return None
    before = list(fields.warnings)
    recipe = _recipe(stored, fields, instance)
    levels = None if recipe is None else _levels(recipe)
    if levels is None:
        fields.warnings[:] = before
        return None
    return levels[0], list(levels[1])


def _recipe(stored: np.ndarray, fields: Fields, instance: Instance) -> _Recipe | None:
    padding = padding_bounds(stored.dtype, fields)
    slope, intercept = fields.numbers("RescaleSlope", 1), fields.numbers("RescaleIntercept", 1)
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    stated = any(
        fields.raw(keyword) is not None for keyword in ("RescaleSlope", "RescaleIntercept")
    )
    if (
        not centres
        or not widths
        or (stated and (slope is None or intercept is None or slope[0] == 0))
    ):
        return None
    lowest, highest = int(stored.min()), int(stored.max())
    top = 1 << max(highest, -1 - lowest, 0).bit_length()
    occurs = padding is not None and bool(((stored >= padding[0]) & (stored <= padding[1])).any())
    return _Recipe(
        lowest=-top if lowest < 0 else 0,
        highest=top - 1,
        dtype=stored.dtype,
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        window=(centres[0], widths[0], fields.text("VOILUTFunction") or "LINEAR"),
        inverted=inverted(fields, instance),
        padding=padding if occurs else None,
    )


@lru_cache(_REMEMBERED)
def _levels(recipe: _Recipe) -> tuple[Levels, tuple[str, ...]] | None:
    values = np.arange(recipe.lowest, recipe.highest + 1).astype(recipe.dtype)
    modality, how = (
        rescaled(values, *recipe.rescale)
        if recipe.rescale
        else (values.astype(np.float64), "no rescale")
    )
    levels = window(modality, *recipe.window) if np.isfinite(modality).all() else None
    if levels is None:
        return None
    display = np.rint((1 - levels if recipe.inverted else levels) * 255).astype(np.uint8)
    policy = [how, window_policy(*recipe.window)] + ["inverted"] * recipe.inverted
    if recipe.padding:
        display[(values >= recipe.padding[0]) & (values <= recipe.padding[1])] = 0
        policy.append("padding darkest")
    return Levels(values, modality, display), tuple(policy)
