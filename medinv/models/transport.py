"""How images of one class differ from those of another, for an image like this one.

It is the map between two Gaussians that moves them the least. With m_k and C_k the mean and
covariance of coarse training images of class k along principal axes, an image of class s goes to

    m_t + A (x - m_s),    A = C_s^(-1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(-1/2)

(Dowson and Landau 1982; Peyre and Cuturi, Computational Optimal Transport, 1803.00567). Where C_s =
C_t it is the fixed difference of the class means.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 32  # of coarse images, pixels
# Share of each covariance between axes that is dropped: hundreds of images do not tell thousands of
# them.
SHRUNK = 0.1


@dataclass(frozen=True)
class Transport:
    """axes (SIDE^2, A) orthonormal, centres (K, SIDE^2) grey levels, maps (K, K, A, A).

    `maps[s, t]` goes from class s to class t; of two classes maps are (2, A, A), from either to the
    other. Averages: no image is in them.
    """

    axes: Tensor
    centres: Tensor
    maps: Tensor

    def step(self, x: Tensor, target: int, source: int | None = None) -> Tensor:
        """What to add to images x (N, 1, H, W) of `source` to make them typical of `target`.

        Grey levels; as smooth as coarse images are. source: by itself the other of two classes.
        """
        source = 1 - target if source is None else source
        axes, centres = self.axes.to(x), self.centres.to(x)
        each = self.maps[source].to(x)
        to_target = each[target] if self.maps.ndim == 4 else each
        coordinates = (coarse(x) - centres[source]) @ axes
        moved = (
            centres[target] - centres[source] + (coordinates @ to_target.T - coordinates) @ axes.T
        )
        return F.interpolate(
            moved.reshape(-1, 1, SIDE, SIDE), size=x.shape[2:], mode="bilinear", align_corners=False
        )


@torch.no_grad()
def fit_transport(images: Tensor, labels: Tensor, axes: int) -> Transport:
    """Fitted to training images (n, 1, H, W) in grey levels and labels (n,), some of every class.

    The fit is along the `axes` principal axes within the classes.
    """
    points = coarse(images.double())
    classes = range(int(labels.max()) + 1)
    centres = torch.stack([points[labels == k].mean(0) for k in classes])
    within = points - centres[labels]
    principal = torch.linalg.svd(within, full_matrices=False)[2][:axes].T
    roots, covariances = [], []
    for k in classes:
        covariance = torch.cov((within[labels == k] @ principal).T)
        covariances.append((1 - SHRUNK) * covariance + SHRUNK * covariance.diag().diag())
        roots.append(_root(covariances[k]))
    inverses = [torch.linalg.inv(root) for root in roots]
    maps = torch.stack(
        [
            inverses[s] @ _root(roots[s] @ covariances[t] @ roots[s]) @ inverses[s]
            for s in classes
            for t in classes
        ]
    )
    maps = maps.unflatten(0, (len(classes), len(classes)))
    if len(classes) == 2:
        maps = maps[[0, 1], [1, 0]]
    return Transport(principal.float(), centres.float(), maps.float())


def coarse(x: Tensor) -> Tensor:
    """Images (N, 1, H, W) averaged to (N, SIDE^2)."""
    return F.interpolate(x, size=(SIDE, SIDE), mode="area").flatten(1)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
