"""Where the lungs lie in a film, estimated from films alone: a mean film moved and stretched until
it fits (no drawn mask serves for anything here).

The template is the mean of training films, each moved onto the mean so far (congealing,
Learned-Miller 2006); the lungs are the two large parts of the mean normal film that are darker than
what surrounds them. A film's own lungs are those of the template, moved as the template fits the
film best.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

SHIFTS_Y = tuple(i / 16 for i in range(-5, 6))  # of half the film
SHIFTS_X = tuple(i / 16 for i in range(-3, 4))
STRETCHES_Y = (0.76, 0.86, 0.95, 1.05, 1.15, 1.25)
STRETCHES_X = (0.8, 0.9, 1.0, 1.1, 1.2)
COARSE = 32  # pixels at which films are compared
SURROUND = 0.12  # standard deviation of the local mean that is taken off, share of the side
SMOOTH = 0.02  # standard deviation of what rounds the outline of the lungs, share of the side
ROUNDS = 3
AT_ONCE = 256


@dataclass(frozen=True)
class LungTemplate:
    """The mean film and its lungs."""

    film: Tensor  # (side, side) grey levels
    lungs: Tensor  # (side, side) 0 or 1

    def place(self, films: Tensor) -> Tensor:
        """Of films (N, 1, H, W) the place (N, 4) where the template fits best: shift y, x and
        stretch y, x in halves of the film.
        """
        return _best_place(films, self.film)


def fit_template(films: Tensor, labels: Tensor, *, each: int = 600) -> LungTemplate:
    """The template of films (N, 1, H, W) in grey levels with labels (N,), 0 normal: from the first
    `each` films of either label.
    """
    some = torch.cat([torch.nonzero(labels == k)[:each, 0] for k in (0, 1)])
    films, labels, size = films[some], labels[some], films.shape[-1]
    mean = films.mean(0)[0]
    for _ in range(ROUNDS):
        places = _best_place(films, mean)
        places = places - torch.tensor([*places[:, :2].mean(0), 0, 0])
        places[:, 2:] /= places[:, 2:].log().mean(0).exp()
        aligned = _sample(films, places, size)
        mean = aligned.mean(0)[0]
    return LungTemplate(mean, _dark_parts(aligned[labels == 0].mean(0)[0]))


def at_places(mask: Tensor, places: Tensor) -> Tensor:
    """A mask (side, side) of the template on films with these places, (N, 1, side, side)."""
    return _sample(mask[None, None].expand(len(places), 1, -1, -1), _inverse(places), len(mask))


def onto(films: Tensor, places: Tensor, targets: Tensor) -> Tensor:
    """Films (N, 1, H, W) with places (N, 4), moved so that their lungs lie where those of films
    with places `targets` do.
    """
    stretch = places[:, 2:] / targets[:, 2:]
    shift = places[:, :2] - stretch * targets[:, :2]
    return _sample(films, torch.cat([shift, stretch], 1), films.shape[-1])


def _inverse(places: Tensor) -> Tensor:
    return torch.cat([-places[:, :2] / places[:, 2:], 1 / places[:, 2:]], 1)


def _sample(films: Tensor, places: Tensor, size: int) -> Tensor:
    """What stands at shift + stretch * (y, x), for y and x over the whole square; beyond the film
    its border goes on.
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
    small = F.interpolate(films, size=(COARSE, COARSE), mode="area").numpy()
    sigma = (0, 0, SURROUND * COARSE, SURROUND * COARSE)
    flat = torch.from_numpy(small - ndimage.gaussian_filter(small, sigma)).flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def _best_place(films: Tensor, template: Tensor) -> Tensor:
    tried = torch.tensor(list(product(SHIFTS_Y, SHIFTS_X, STRETCHES_Y, STRETCHES_X)))
    moved = _comparable(
        _sample(template[None, None].expand(len(tried), 1, -1, -1), _inverse(tried), COARSE * 2)
    )
    best = [
        (_comparable(films[i : i + AT_ONCE]) @ moved.T).argmax(1)
        for i in range(0, len(films), AT_ONCE)
    ]
    return tried[torch.cat(best)]


def _dark_parts(film: Tensor) -> Tensor:
    """The two largest parts of a mean film (H, W) that are darker than their surroundings and do
    not touch its border.
    """
    values, side = film.numpy(), len(film)
    local = ndimage.gaussian_filter(values, SURROUND * side)
    parts, count = ndimage.label(values < local - 0.02 * np.ptp(values))
    sizes = ndimage.sum_labels(np.ones_like(values), parts, range(1, count + 1))
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    kept = [k + 1 for k in np.argsort(sizes)[::-1] if k + 1 not in edge][:2]
    lungs = ndimage.binary_fill_holes(np.isin(parts, kept))
    smooth = ndimage.gaussian_filter(lungs.astype(np.float32), SMOOTH * side) > 0.5
    return torch.from_numpy(smooth.astype(np.float32))
