"""A head that says nothing of images whose region is blanked.

Composed films teach a network that such images tell nothing, but weights that are blended tell them
apart again: by hundredths of a log-odds, which count for no answer, yet rank them. The log-odds are
linear in the coarse features, so what ranks them there can be taken out of the head.
"""

import numpy as np
import torch

from medinv.data.compose import Composer
from medinv.metrics import auc
from medinv.models.density import Classifier

HALVINGS = 20


@torch.no_grad()
def silence(network: Classifier, composer: Composer, seed: int) -> None:
    """Move the class means until blanked training images of both classes rank alike.

    With d the difference of the means and b that of the mean coarse features of blanked images of
    either class, d becomes d - s (d . b) / (b . b) b: for s = 1 it is orthogonal to b, the least
    move after which both classes mean the same; s is where their AUC, which single images far off
    do not sway, is a half. The mean of the class means stays. Nothing is done where no s up to 2
    gets there.
    """
    network.eval()
    weights = network.class_weights
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.cat(
        [
            network.features(films.to(weights))[:, : network.coarse].flatten(1).cpu()
            for films in composer.blanked(generator)
        ]
    )
    labels = composer.labels[: composer.own].numpy()
    difference = (weights[1] - weights[0]).flatten().cpu()
    told = coarse[labels == 1].mean(0) - coarse[labels == 0].mean(0)
    move = (difference @ told) / (told @ told).clamp_min(1e-12) * told
    share = _where_ranks_agree((coarse @ difference).numpy(), (coarse @ move).numpy(), labels)
    half = (share * move / 2).reshape(weights[0].shape).to(weights)
    weights[0] += half
    weights[1] -= half


def _where_ranks_agree(odds: np.ndarray, moves: np.ndarray, labels: np.ndarray) -> float:
    """The s at which `odds` - s `moves` (N,) rank both labels alike; 0 where there is none."""

    def told(share: float) -> float:
        return auc(labels == 1, odds - share * moves) - 0.5

    low, high = 0.0, 2.0
    first = told(low)
    if first * told(high) >= 0:
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if first * told(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
