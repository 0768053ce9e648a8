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
    """axes (SIDE^2, K) orthonormal, centres (2, SIDE^2) grey levels, maps (2, K, K).

    `maps[s]` goes from class s to the other. Averages: no image is in them.
    """

    axes: Tensor
    centres: Tensor
    maps: Tensor

    def step(self, x: Tensor, target: int) -> Tensor:
        """What to add to images x (N, 1, H, W) of the other class to make them typical of `target`.

        Grey levels; as smooth as coarse images are.
        """
        source = 1 - target
        axes, centres, maps = (t.to(x) for t in (self.axes, self.centres, self.maps))
        coordinates = (coarse(x) - centres[source]) @ axes
        moved = (
            centres[target]
            - centres[source]
            + (coordinates @ maps[source].T - coordinates) @ axes.T
        )
        return F.interpolate(
            moved.reshape(-1, 1, SIDE, SIDE), size=x.shape[2:], mode="bilinear", align_corners=False
        )


@torch.no_grad()
def fit_transport(images: Tensor, labels: Tensor, axes: int) -> Transport:
    """Fitted to training images (n, 1, H, W) in grey levels and labels (n,) of two classes.

    The fit is along the `axes` principal axes within the classes.
    """
    points = coarse(images.double())
    centres = torch.stack([points[labels == k].mean(0) for k in (0, 1)])
    within = points - centres[labels]
    principal = torch.linalg.svd(within, full_matrices=False)[2][:axes].T
    roots, covariances = [], []
    for k in (0, 1):
        covariance = torch.cov((within[labels == k] @ principal).T)
        covariances.append((1 - SHRUNK) * covariance + SHRUNK * covariance.diag().diag())
        roots.append(_root(covariances[k]))
    inverses = [torch.linalg.inv(root) for root in roots]
    maps = [
        inverses[s] @ _root(roots[s] @ covariances[1 - s] @ roots[s]) @ inverses[s] for s in (0, 1)
    ]
    return Transport(principal.float(), centres.float(), torch.stack(maps).float())


def coarse(x: Tensor) -> Tensor:
    """Images (N, 1, H, W) averaged to (N, SIDE^2)."""
    return F.interpolate(x, size=(SIDE, SIDE), mode="area").flatten(1)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
