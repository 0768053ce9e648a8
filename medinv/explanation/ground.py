"""Where the label is about, in an image, and what would be expected there."""

from numpy.typing import NDArray
from torch import Tensor

from medinv.explanation.trunk import Asked


def region_of(model: Asked, x: Tensor) -> NDArray | None:
    """Which pixels (H, W) of one image `x` (1, 1, H, W) the label is about, as the model has it.

    None where it keeps no region.
    """
    reference = model.reference
    return reference.region.inside(x)[0, 0].numpy() if reference and reference.region else None


def expected_of(model: Asked, x: Tensor) -> Tensor | None:
    """Images x (N, 1, H, W) with their region as it would be expected in negative images, given
    all that surrounds it (`medinv.models.expectation`), in grey levels, unrounded.

    None where the model does not keep both, and of a question about other classes.
    """
    reference = model.reference
    if not reference or not reference.region or not reference.expectation:
        return None
    if len(model.classes) != 2:
        return None
    template = reference.region
    masks = template.masks(template.place(x.float().cpu()))
    return reference.expectation.fill(x, masks.to(x))
