"""A local counterfactual towards the positive class: the faintest round brightening, where findings usually lie, that makes the model answer otherwise.

The model says at which place it takes the least and how much it takes. That what is added is bright, round and of one of a few sizes is given beforehand, and
the places are those where training images of the positive class rise above what belongs there: it shows what would do, not what disease looks like.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.explanation.counterfactual.direction import filed
from medinv.explanation.result import Counterfactual
from medinv.models.density import Classifier
from medinv.models.expectation import Expectation
from medinv.models.transport import SIDE

APART = 2.6  # coarse pixels between places that are tried
AT_ONCE = 16  # images that go through the network together


@dataclass(frozen=True)
class Planting:
    """What is tried. Chosen on validation phantoms of the shipped phantom model (pipelines/counterfactuals/run.py)."""

    places: int = 40
    radii: tuple[float, ...] = (3.0, 5.0)  # standard deviation of a Gaussian, pixels
    first: float = 25.0  # grey levels at the centre by which places are compared
    most: float = 90.0
    finalists: int = 4  # places whose faintest brightening is sought
    halvings: int = 6
    share: float = 0.75  # of the target's typical log-odds, to be reached


@torch.no_grad()
def planted(
    model: Classifier, expectation: Expectation, x: Tensor, *, planting: Planting = Planting()
) -> Tensor:
    """The image `x` (1, 1, H, W) with the brightening of least root mean square that reaches the log-odds asked for; with the most convincing one where none
    does. Tried as stored, returned before rounding and clipping."""
    spots = bumps(expectation, x, planting)
    wanted = planting.share * model.typical_odds[1]
    gain = (_odds(model, _added(x, spots, planting.first)) - _odds(model, x)) / spots.flatten(
        1
    ).norm(dim=1)
    best = spots[gain.topk(min(planting.finalists, len(spots))).indices]
    low, high = torch.zeros(len(best)).to(x), torch.full((len(best),), planting.most).to(x)
    for _ in range(planting.halvings):
        middle = (low + high) / 2
        enough = _odds(model, _added(x, best, middle[:, None, None, None])) >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    tried = _added(x, best, high[:, None, None, None])
    odds, size = _odds(model, tried), (tried - x).square().flatten(1).sum(1)
    reached = odds >= wanted
    chosen = size.masked_fill(~reached, float("inf")).argmin() if reached.any() else odds.argmax()
    return x + high[chosen] * best[chosen : chosen + 1]


def planted_counterfactual(
    model: Classifier, expectation: Expectation, x: Tensor, *, planting: Planting = Planting()
) -> Counterfactual:
    """The same encoded, decoded and classified anew."""
    return filed(model, x, planted(model, expectation, x, planting=planting), 1, made="planting")


def bumps(expectation: Expectation, x: Tensor, planting: Planting) -> Tensor:
    """(n, 1, H, W), 1 at their centres: one of each radius at the places where findings usually lie, the likeliest first."""
    height, width = x.shape[2:]
    left = expectation.rises.reshape(SIDE, SIDE).to(x).clone()
    rows, columns = (torch.arange(n).to(x) for n in (SIDE, SIDE))
    down, across = torch.arange(height).to(x)[:, None], torch.arange(width).to(x)
    found = []
    while len(found) < planting.places * len(planting.radii) and left.max() > 0:
        row, column = divmod(int(left.argmax()), SIDE)
        left[(rows[:, None] - row) ** 2 + (columns - column) ** 2 < APART**2] = 0
        distance = (down - (row + 0.5) * height / SIDE + 0.5) ** 2 + (
            across - (column + 0.5) * width / SIDE + 0.5
        ) ** 2
        found += [torch.exp(-distance / (2 * radius**2)) for radius in planting.radii]
    return torch.stack(found)[:, None]


def _added(x: Tensor, spots: Tensor, amount: float | Tensor) -> Tensor:
    return (x + amount * spots).clamp(0, 255).round()


def _odds(model: Classifier, images: Tensor) -> Tensor:
    logits = torch.cat([model.logits_of(model.features(some)) for some in images.split(AT_ONCE)])
    return logits[:, 1] - logits[:, 0]
