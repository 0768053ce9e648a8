"""The lungs of a mean film, estimated from films alone: no drawn mask serves for anything here.

The template is the mean of training films, each moved onto the mean so far (congealing,
Learned-Miller 2006); the lungs are the two large parts of the mean normal film that are darker than
what surrounds them. A film's own lungs are those of the template, moved as the template fits the
film best.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medinv.errors import ConfigError
from medinv.models.region import SURROUND, Template, best_place, sampled

SMOOTH = 0.02  # standard deviation of what rounds the outline of the lungs, share of the side
ROUNDS = 3


def fit_template(
    films: Tensor, labels: Tensor, masks: Tensor | None = None, *, each: int = 600
) -> Template:
    """The template of films (N, 1, H, W) in grey levels with labels (N,), 0 normal: from the first
    `each` films of either label.

    Its region is estimated as the lungs or, with `masks` (N, 1, H, W) uint8 that are not 0 in it,
    what lies in most of them once films are aligned. Raises ConfigError where nothing does.
    """
    some = torch.cat([torch.nonzero(labels == k)[:each, 0] for k in (0, 1)])
    films, labels, size = films[some], labels[some], films.shape[-1]
    mean = films.mean(0)[0]
    for _ in range(ROUNDS):
        places = best_place(films, mean)
        places = places - torch.tensor([*places[:, :2].mean(0), 0, 0])
        places[:, 2:] /= places[:, 2:].log().mean(0).exp()
        aligned = sampled(films, places, size)
        mean = aligned.mean(0)[0]
    if masks is None:
        return Template(mean, _dark_parts(aligned[labels == 0].mean(0)[0]))
    region = (sampled((masks[some] > 0).float(), places, size).mean(0)[0] > 0.5).float()
    if not region.any():
        raise ConfigError(
            "train.compose: the masks lie in another place in each image; composed images need a "
            "region that most images share, such as an organ: leave train.compose out"
        )
    return Template(mean, region)


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
