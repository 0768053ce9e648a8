"""A counterfactual from another training image: its region in this image, as it was stored.

Disease that fills the lungs has no part that could be filled in. What can be shown is this image
with the lungs of a child of the other label: which of a few kept training images is most like this
one outside its region, and is then answered otherwise. What is put there does not come from the
model, and belongs to somebody else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.result import Counterfactual, LocalEvidence
from medinv.explanation.trunk import Asked, typical, uncalibrated
from medinv.models.region import Donors, Template, onto

AT_ONCE = 8  # images that go through the network together


@dataclass(frozen=True)
class Choice:
    """Which donor: chosen on validation films of the chest radiograph model."""

    nearest: int = 24  # donors that are tried, the most similar outside the region first
    margin: float = 0.03  # of the side, around the region
    edge: float = 0.02  # of the side, over which the two images pass into each other
    share: float = 0.5  # of the target's typical log-odds, to be reached


@torch.no_grad()
def exchanged(
    template: Template, donors: Donors, x: Tensor, target: int, *, choice: Choice = Choice()
) -> Tensor:
    """The image `x` (1, 1, H, W) with the regions of donors of class `target`, (n, 1, H, W).

    The most similar outside the region comes first. Empty where there is no donor of that class.
    """
    rows = torch.nonzero(donors.labels == target)[:, 0]
    if not len(rows):
        return x[:0]
    place = template.place(x.float().cpu())
    films = donors.films[rows].float()
    moved = onto(films, donors.places[rows], place.expand(len(rows), -1)).to(x)
    soft = _soft(template, place, choice).to(x)
    far = [F.avg_pool2d(image * (1 - soft), 8).flatten(1) for image in (moved, x)]
    order = (far[0] - far[1]).square().sum(1).argsort()[: choice.nearest]
    return x * (1 - soft) + moved[order] * soft


@torch.no_grad()
def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual | None:
    """The first that is answered otherwise and in scope, encoded, decoded and classified anew.

    Where none is, the one that comes nearest. None where the model's reference keeps no donors of
    the target class, or no region.
    """
    reference, choice = model.reference, Choice()
    if not reference or not reference.donors or not reference.region:
        return None
    tried = exchanged(reference.region, reference.donors, x, target, choice=choice)
    if not len(tried):
        return None
    sign = 1 if target == model.pair[0] else -1
    odds, inside = [], []
    for some in tried.clamp(0, 255).round().split(AT_ONCE):
        z = model.features(some)
        odds.append(sign * uncalibrated(model, z))
        reading = model.read(some)
        inside.append(model.in_scope(reading))
    reached = torch.cat(odds)
    enough = (reached >= sign * choice.share * typical(model, target)) & torch.cat(inside)
    best = int(enough.int().argmax() if enough.any() else reached.argmax())
    return from_image(model, x, target, tried[best : best + 1], "exchange")


def _soft(template: Template, place: Tensor, choice: Choice) -> Tensor:
    """(1, 1, side, side) 1 in the region with a margin, falling to 0 over a soft edge."""
    side = len(template.mask)
    reach, edge = round(choice.margin * side), max(1, round(choice.edge * side))
    wide = F.max_pool2d(template.mask[None, None], 2 * reach + 1, 1, reach)
    soft = F.avg_pool2d(wide, 2 * edge + 1, 1, edge, count_include_pad=False)
    return Template(template.film, soft[0, 0]).masks(place)
