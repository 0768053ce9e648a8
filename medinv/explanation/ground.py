"""Where the label is about, in an image, and what stands there in images of another class."""

import torch
from numpy.typing import NDArray
from torch import Tensor

from medinv.explanation.counterfactual.exchange import Choice, exchanged
from medinv.explanation.trunk import Asked

ALIKE = Choice(nearest=8, margins=(0.015,))
"""How many kept images, and how far around the region. Chosen on validation films of the chest
radiograph model: wider margins explain more of an answer and leave more of it outside; more images
than one say less of whose lungs the place of a finding is told against."""


def region_of(model: Asked, x: Tensor) -> NDArray | None:
    """Which pixels (H, W) of one image `x` (1, 1, H, W) the label is about, as the model has it.

    None where it keeps no region.
    """
    reference = model.reference
    return reference.region.inside(x)[0, 0].numpy() if reference and reference.region else None


def grounds_of(model: Asked, x: Tensor, label: int = 0) -> Tensor | None:
    """Images x (N, 1, H, W) with their region as in images of class `label`, (K, N, 1, H, W), in
    grey levels, unrounded; None where the model does not know, and of more classes than two.

    It is that of the kept images of the class which are most like each image outside the region
    (`ALIKE`): people's, fine texture and all. Where none are kept, K is 1, and it is what would be
    expected in the negative class given all that surrounds it (`medinv.models.expectation`).
    """
    reference = model.reference
    if not reference or not reference.region or len(model.classes) != 2:
        return None
    template, donors = reference.region, reference.donors
    if donors and (donors.labels == label).any():
        alike = [exchanged(template, donors, one, label, choice=ALIKE) for one in x.split(1)]
        return torch.stack(alike, 1)
    if label or not reference.expectation:
        return None
    masks = template.masks(template.place(x.float().cpu()))
    return reference.expectation.fill(x, masks.to(x))[None]
