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
    """Which donor: chosen on validation films of the chest radiograph model, `share` by
    pipelines/radiographs/shares.py.
    """

    nearest: int = 24  # donors that are tried, the most similar outside the region first
    margins: tuple[float, ...] = (0.03, 0.15)
    """Of the side, around the region: disease may reach beyond where the template has the lungs.
    The next is tried where no donor suffices."""
    edge: float = 0.02  # of the side, over which the two images pass into each other
    share: float = 1.0
    """Of the target's typical log-odds, to be reached: what just flips convinces fewer others."""


@torch.no_grad()
def exchanged(
    template: Template,
    donors: Donors,
    x: Tensor,
    target: int,
    *,
    choice: Choice = Choice(),
    place: Tensor | None = None,
) -> Tensor:
    """The image `x` (1, 1, H, W) with the regions of donors of class `target`, (n, 1, H, W).

    The narrowest margin comes first, and of each the most similar outside the region. Empty where
    there is no donor of that class. place: (1, 4), where the region lies; the template's own fit
    where none is given.
    """
    place = template.place(x.float().cpu()) if place is None else place
    others = moved(template, donors, x, target, choice=choice, place=place)
    masks = [_soft(template, place, margin, choice.edge).to(x) for margin in choice.margins]
    return torch.cat([x * (1 - soft) + others * soft for soft in masks])


@torch.no_grad()
def moved(
    template: Template,
    donors: Donors,
    x: Tensor,
    target: int,
    *,
    choice: Choice = Choice(),
    place: Tensor | None = None,
) -> Tensor:
    """Donors of class `target`, their regions moved to where that of `x` (1, 1, H, W) lies.

    (n, 1, H, W), the most similar outside the region first.
    """
    rows = torch.nonzero(donors.labels == target)[:, 0]
    if not len(rows):
        return x[:0]
    place = template.place(x.float().cpu()) if place is None else place
    films = donors.films[rows].float()
    there = onto(films, donors.places[rows], place.expand(len(rows), -1)).to(x)
    outside = 1 - _soft(template, place, choice.margins[0], choice.edge).to(x)
    far = [F.avg_pool2d(image * outside, 8).flatten(1) for image in (there, x)]
    order = (far[0] - far[1]).square().sum(1).argsort()[: choice.nearest]
    return there[order]


@torch.no_grad()
def counterfactual(
    model: Asked,
    x: Tensor,
    target: int,
    local: LocalEvidence | None = None,
    *,
    choice: Choice = Choice(),
) -> Counterfactual | None:
    """Of the narrowest margin at which one is answered otherwise and in scope: the first clear one.

    Where none is clear, that which is the clearest; where none is answered otherwise in scope at
    any margin, the one that comes nearest. None where the model's reference keeps no donors of the
    target class, or no region. It is encoded, decoded and classified anew.
    """
    reference = model.reference
    if not reference or not reference.donors or not reference.region:
        return None
    tried = exchanged(reference.region, reference.donors, x, target, choice=choice)
    if not len(tried):
        return None
    best, most = tried[:1], -torch.inf
    for blends in tried.chunk(len(choice.margins)):
        at, reached, holds = _best(model, blends.clamp(0, 255).round(), target, choice.share)
        if holds:
            return from_image(model, x, target, blends[at : at + 1], "exchange")
        if reached > most:
            best, most = blends[at : at + 1], reached
    return from_image(model, x, target, best, "exchange")


def _best(model: Asked, stored: Tensor, target: int, share: float) -> tuple[int, float, bool]:
    """Of images (n, 1, H, W): which, its log-odds of `target`, and whether it is that in scope."""
    sign = 1 if target == model.pair[0] else -1
    clear = float(sign * share * typical(model, target))
    found = (0, -torch.inf, False)
    for k, some in enumerate(stored.split(AT_ONCE)):
        reading = model.read(some)
        odds = (sign * uncalibrated(model, model.features(some))).tolist()
        answered = (model.called(reading.logits) == target) & model.in_scope(reading)
        for row, (reached, holds) in enumerate(zip(odds, answered.tolist(), strict=True)):
            if (holds, reached) > (found[2], found[1]):
                found = (AT_ONCE * k + row, reached, holds)
            if holds and reached >= clear:
                return AT_ONCE * k + row, reached, True
    return found


def _soft(template: Template, place: Tensor, margin: float, edge: float) -> Tensor:
    """(1, 1, side, side) 1 in the region with a margin, falling to 0 over a soft edge."""
    side = len(template.mask)
    reach, width = round(margin * side), max(1, round(edge * side))
    wide = F.max_pool2d(template.mask[None, None], 2 * reach + 1, 1, reach)
    soft = F.avg_pool2d(wide, 2 * width + 1, 1, width, count_include_pad=False)
    return Template(template.film, soft[0, 0]).masks(place)
