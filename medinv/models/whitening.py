"""A fixed mixing of channels that makes them uncorrelated, of variance 1."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import SingularError
from medinv.layers import Invertible
from medinv.layers.base import check_images
from medinv.layers.normalisation import log_det_of_scales

LEAST = 1e-3  # added to every variance: what hardly varies is raised 30 times at most


class Whitening(Invertible):
    """`y = W x` a pixel, with W = (L + 0.001)^-1/2 U^T for the covariance U L U^T of the channels.

    `initialise` takes it from a first batch (before that W is the identity); no training changes
    it. Behind a Haar transform it whitens patches of 2 x 2 pixels. Exact in algebra.
    Source: Jordan 2024, 2404.00498.

    Shapes: (N, channels, H, W) both ways. Raises SingularError from `inverse` if W is singular.
    """

    weight: Tensor  # (channels, channels)

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.register_buffer("weight", torch.eye(channels))

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return str(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "Whitening")
        return F.conv2d(x, self.weight[:, :, None, None])

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, self.channels, "Whitening.inverse")
        back, failed = torch.linalg.inv_ex(self.weight.double())
        if failed.any():
            raise SingularError("Whitening expects an invertible matrix; a channel is lost")
        return F.conv2d(y, back.to(y.dtype)[:, :, None, None])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        """From a first batch."""
        check_images(x, self.channels, "Whitening.initialise")
        values = x.double().cpu().transpose(0, 1).flatten(1)
        variances, directions = torch.linalg.eigh(torch.cov(values))
        self.weight.copy_(directions.T * (variances + LEAST).rsqrt()[:, None])
        return self(x)

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return log_det_of_scales(self._values().log().to(self.weight.dtype), x)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: one over the smallest singular value."""
        return (1 / self._values().amin()).to(x.dtype).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest singular value."""
        values = self._values()
        return (values.amax() / values.amin()).to(x.dtype).expand(x.shape[0])

    def _values(self) -> Tensor:
        return torch.linalg.svdvals(self.weight.double())
