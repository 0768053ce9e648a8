"""What belongs in a part of an image, given all that lies around it.

It is the conditional mean under a Gaussian of coarse training images of the negative class. Coarse
pixels are x = m + W c + e with c ~ N(0, diag(variances)) along principal axes W and e ~ N(0,
diag(rest)) pixel by pixel: factor analysis, of which probabilistic principal components (Tipping
and Bishop 1999) are the case of equal `rest`. With the weights v = (1 - region) / rest, 0 where a
pixel is not seen,

    E[x | all outside] = m + W (diag(1 / variances) + W^T diag(v) W)^(-1) W^T diag(v) (x - m),

a system of as many unknowns as there are axes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.models.transport import SIDE, coarse

# Grey levels squared that the rest keeps where training images do not vary: they are rounded, and
# black borders are not certain.
LEAST = 0.3
# Enlarging smooths, and so leaves some of what is to go: what is left is taken off again. Of round
# findings in validation films half as much is left after three passes as after one; a fourth takes
# no more.
PASSES = 3


@dataclass(frozen=True)
class Expectation:
    """Averages over training images: no image is in them.

    Grey levels, coarse images of SIDE x SIDE pixels.
    """

    centre: Tensor  # (SIDE^2,) m
    axes: Tensor  # (SIDE^2, K) W, orthonormal
    variances: Tensor  # (K,)
    rest: Tensor  # (SIDE^2,)
    # (SIDE^2,) by how much more images of the positive class rise above W W^T (x - m), mean square:
    # where their findings usually lie.
    rises: Tensor

    def fill(self, x: Tensor, region: Tensor) -> Tensor:
        """Images x (N, 1, H, W) with `region` (N, 1, H, W), 0 to 1, replaced by what belongs there.

        Only what coarse images show is replaced, there as exactly as enlarging allows: fine
        texture stays.
        """
        centre, axes, variances, rest = (
            t.to(x) for t in (self.centre, self.axes, self.variances, self.rest)
        )
        here = coarse(x) - centre
        # A pixel that is half inside says nothing reliable.
        seen = (1 - 2 * coarse(region)).clamp_min(0) / rest
        system = torch.einsum("pk,np,pl->nkl", axes, seen, axes) + torch.diag(1 / variances)
        expected = torch.linalg.solve(system, (seen * here @ axes)[..., None])[..., 0] @ axes.T
        filled = x
        for _ in range(PASSES):
            away = expected + centre - coarse(filled)
            filled = filled + region * F.interpolate(
                away.reshape(-1, 1, SIDE, SIDE),
                size=x.shape[2:],
                mode="bilinear",
                align_corners=False,
            )
        return filled


@torch.no_grad()
def fit_expectation(images: Tensor, labels: Tensor, axes: int) -> Expectation:
    """Fitted to training images (n, 1, H, W) in grey levels and labels (n,) of two classes.

    The fit is along `axes` principal axes of the negative class.
    """
    all_of_them = coarse(images.double())
    negative = all_of_them[labels == 0]
    centre = negative.mean(0)
    sizes, directions = torch.linalg.svd(negative - centre, full_matrices=False)[1:]
    principal = directions[:axes].T
    beyond = (all_of_them - centre) - (all_of_them - centre) @ principal @ principal.T
    above = beyond.clamp_min(0).square()
    rises = (above[labels == 1].mean(0) - above[labels == 0].mean(0)).clamp_min(0)
    parts = (
        centre,
        principal,
        sizes[:axes].square() / (len(negative) - 1),
        beyond[labels == 0].square().mean(0).clamp_min(LEAST),
        rises,
    )
    return Expectation(*(part.float() for part in parts))
