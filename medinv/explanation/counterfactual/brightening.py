"""A local counterfactual towards the positive class: the faintest round brightening that suffices.

It is put where findings lie most often. The model says at which place it takes the least and how
much it takes. That what is added is bright, round and of one of a few sizes is given beforehand,
and the places are those where training images of the positive class rise above what belongs there:
it shows what would do, not what disease looks like.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import from_image
from medinv.explanation.counterfactual.inpainting import SIDE as CHOSEN_ON
from medinv.explanation.result import Counterfactual, LocalEvidence
from medinv.explanation.trunk import Asked, typical, uncalibrated
from medinv.models.expectation import Expectation
from medinv.models.transport import SIDE

APART = 2.6  # coarse pixels between places that are tried
AT_ONCE = 16  # images that go through the network together


@dataclass(frozen=True)
class Candidates:
    """What is tried.

    Chosen on validation phantoms of the shipped phantom model (pipelines/counterfactuals/run.py).
    """

    places: int = 40
    # standard deviation of a Gaussian, pixels of an image of 64
    radii: tuple[float, ...] = (3.0, 5.0)
    first: float = 25.0  # grey levels at the centre by which places are compared
    most: float = 90.0
    finalists: int = 4  # places whose faintest brightening is sought
    halvings: int = 6
    share: float = 0.75  # of the target's typical log-odds, to be reached


@torch.no_grad()
def brighten(
    model: Asked, expectation: Expectation, x: Tensor, *, candidates: Candidates = Candidates()
) -> Tensor:
    """The image `x` (1, 1, H, W) with the brightening of least root mean square that suffices.

    What suffices reaches the log-odds asked for; where none does, the most convincing one is added.
    Tried as stored, returned before rounding and clipping.
    """
    spots = bumps(expectation, x, candidates)
    wanted = candidates.share * typical(model, 1)
    rise = _odds(model, _added(x, spots, candidates.first)) - _odds(model, x)
    gain = rise / spots.flatten(1).norm(dim=1)
    best = spots[gain.topk(min(candidates.finalists, len(spots))).indices]
    low, high = x.new_zeros(len(best)), x.new_full((len(best),), candidates.most)
    for _ in range(candidates.halvings):
        middle = (low + high) / 2
        enough = _odds(model, _added(x, best, middle)) >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    tried = _added(x, best, high)
    odds, size = _odds(model, tried), (tried - x).square().flatten(1).sum(1)
    reached = odds >= wanted
    chosen = size.masked_fill(~reached, float("inf")).argmin() if reached.any() else odds.argmax()
    return x + high[chosen] * best[chosen : chosen + 1]


def counterfactual(
    model: Asked, x: Tensor, target: int, local: LocalEvidence | None = None
) -> Counterfactual | None:
    """The same encoded, decoded and classified anew.

    None towards the negative class, and where the model's reference does not say where findings
    lie: it says so of two classes of grey images.
    """
    if not target or not model.reference or not model.reference.expectation:
        return None
    edited = brighten(model, model.reference.expectation, x)
    return from_image(model, x, target, edited, "brightening")


def bumps(expectation: Expectation, x: Tensor, candidates: Candidates) -> Tensor:
    """(n, 1, H, W), 1 at their centres: one of each radius at every place, the likeliest first."""
    height, width = x.shape[2:]
    rises = expectation.rises.reshape(SIDE, SIDE).to(x).clone()
    side = torch.arange(SIDE).to(x)
    down, across = torch.arange(height).to(x)[:, None], torch.arange(width).to(x)
    spots: list[Tensor] = []
    while len(spots) < candidates.places * len(candidates.radii) and rises.max() > 0:
        row, column = divmod(int(rises.argmax()), SIDE)
        rises[(side[:, None] - row) ** 2 + (side - column) ** 2 < APART**2] = 0
        centre = (row + 0.5) * height / SIDE - 0.5, (column + 0.5) * width / SIDE - 0.5
        distance = (down - centre[0]) ** 2 + (across - centre[1]) ** 2
        sigmas = [radius * min(height, width) / CHOSEN_ON for radius in candidates.radii]
        spots += [torch.exp(-distance / (2 * sigma**2)) for sigma in sigmas]
    return torch.stack(spots)[:, None]


def _added(x: Tensor, spots: Tensor, amount: float | Tensor) -> Tensor:
    """As stored; `amount` of each spot, grey levels."""
    each = torch.as_tensor(amount).reshape(-1, 1, 1, 1)
    return (x + each.to(x) * spots).clamp(0, 255).round()


def _odds(model: Asked, images: Tensor) -> Tensor:
    return torch.cat([uncalibrated(model, model.features(some)) for some in images.split(AT_ONCE)])
