"""Where the region that a label is about lies in an image: a mean image moved and stretched until
it fits (no drawn mask serves for anything here unless the data set brings some).

A model that was trained with composed images keeps its template, so that what was audited and what
is shown as evidence is the same region: see `medinv.data.compose`, which fits it.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFTS_Y = tuple(i / 16 for i in range(-5, 6))  # of half the film
SHIFTS_X = tuple(i / 16 for i in range(-3, 4))
STRETCHES_Y = (0.76, 0.86, 0.95, 1.05, 1.15, 1.25)
STRETCHES_X = (0.8, 0.9, 1.0, 1.1, 1.2)
COARSE = 32  # pixels at which films are compared
SURROUND = 0.12  # standard deviation of the local mean that is taken off, share of the side
AT_ONCE = 256
INSIDE = 0.5  # of a soft mask, from which a pixel counts as inside


@dataclass(frozen=True)
class Template:
    """A mean film and its region, and where both lie in other films."""

    film: Tensor  # (side, side) grey levels
    mask: Tensor  # (side, side) 0 to 1

    def place(self, films: Tensor) -> Tensor:
        """Of films (N, 1, H, W) the place (N, 4) where the template fits best: shift y, x and
        stretch y, x in halves of the film.
        """
        return best_place(films, self.film)

    def masks(self, places: Tensor) -> Tensor:
        """The mask on films with these places, (N, 1, side, side)."""
        return at_places(self.mask, places)

    def inside(self, films: Tensor) -> Tensor:
        """Which pixels of films (N, 1, H, W) lie in the region, (N, 1, H, W) bool."""
        masks = self.masks(self.place(films.float().cpu()))
        return F.interpolate(masks, size=films.shape[2:], mode="area") > INSIDE


@dataclass(frozen=True)
class Donors:
    """Training images whose region may be shown in another image: see `explanation.counterfactual`.

    They are images of people: kept only where a configuration asks for it.
    """

    films: Tensor  # (n, 1, H, W) uint8
    labels: Tensor  # (n,)
    places: Tensor  # (n, 4) where the template fits best


def at_places(mask: Tensor, places: Tensor) -> Tensor:
    """A mask (side, side) of the template on films with these places, (N, 1, side, side)."""
    return sampled(mask[None, None].expand(len(places), 1, -1, -1), _inverse(places), len(mask))


def onto(films: Tensor, places: Tensor, targets: Tensor) -> Tensor:
    """Films (N, 1, H, W) with places (N, 4), moved so that their lungs lie where those of films
    with places `targets` do.
    """
    stretch = places[:, 2:] / targets[:, 2:]
    shift = places[:, :2] - stretch * targets[:, :2]
    return sampled(films, torch.cat([shift, stretch], 1), films.shape[-1])


def _inverse(places: Tensor) -> Tensor:
    return torch.cat([-places[:, :2] / places[:, 2:], 1 / places[:, 2:]], 1)


def sampled(films: Tensor, places: Tensor, size: int) -> Tensor:
    """What stands at shift + stretch * (y, x) in films (N, 1, H, W), for y and x over the whole
    square of `size` pixels; beyond the film its border goes on.
    """
    ty, tx, sy, sx = places.unbind(1)
    zero = torch.zeros_like(ty)
    theta = torch.stack([torch.stack([sx, zero, tx], 1), torch.stack([zero, sy, ty], 1)], 1)
    grid = F.affine_grid(theta, [len(places), 1, size, size], align_corners=False)
    return F.grid_sample(films, grid, padding_mode="border", align_corners=False)


def _comparable(films: Tensor) -> Tensor:
    """Films (N, 1, H, W) as unit vectors (N, COARSE^2) without local means, so that exposure does
    not count.
    """
    from scipy import ndimage  # which a start without films need not wait for

    small = F.interpolate(films, size=(COARSE, COARSE), mode="area").numpy()
    sigma = (0, 0, SURROUND * COARSE, SURROUND * COARSE)
    flat = torch.from_numpy(small - ndimage.gaussian_filter(small, sigma)).flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def best_place(films: Tensor, template: Tensor) -> Tensor:
    """Of films (N, 1, H, W) the place (N, 4) at which a template (side, side) fits best."""
    tried, moved = _tried(template)
    best = [
        (_comparable(films[i : i + AT_ONCE]) @ moved.T).argmax(1)
        for i in range(0, len(films), AT_ONCE)
    ]
    return tried[torch.cat(best)]


@lru_cache(maxsize=4)  # by the tensor itself: moving it costs far more than comparing a film
def _tried(template: Tensor) -> tuple[Tensor, Tensor]:
    """All places (M, 4) and a template there, as films are compared, (M, COARSE^2)."""
    tried = torch.tensor(list(product(SHIFTS_Y, SHIFTS_X, STRETCHES_Y, STRETCHES_X)))
    films = template[None, None].expand(len(tried), 1, -1, -1)
    return tried, _comparable(sampled(films, _inverse(tried), COARSE * 2))
