"""Layers of images on volumes."""

from torch import Tensor

from medinv.errors import ShapeError
from medinv.layers.base import Invertible


class OnVolumes(Invertible):
    """A layer of images that treats every place alike, on volumes: slices laid below one another.

    As exact as `layer`. Shapes: (N, C, D, H, W), which `layer` sees as (N, C, D H, W).
    Raises ShapeError for other shapes.
    """

    def __init__(self, layer: Invertible):
        super().__init__()
        self.layer = layer
        self.isometric = layer.isometric
        self.bit_exact = layer.bit_exact

    def forward(self, x: Tensor) -> Tensor:
        """`y` (N, C', D, H, W) of `x` (N, C, D, H, W)."""
        return self.layer(_flat(x, "OnVolumes")).unflatten(2, x.shape[2:4])

    def inverse(self, y: Tensor) -> Tensor:
        """`x` of `y`."""
        return self.layer.inverse(_flat(y, "OnVolumes.inverse")).unflatten(2, y.shape[2:4])

    def log_det(self, x: Tensor) -> Tensor:
        """That of `layer`, (N,)."""
        return self.layer.log_det(_flat(x, "OnVolumes.log_det"))

    def initialise(self, x: Tensor) -> Tensor:
        """That of `layer`."""
        return self.layer.initialise(_flat(x, "OnVolumes")).unflatten(2, x.shape[2:4])

    def inverse_norm(self, x: Tensor, iterations: int = 30) -> Tensor:
        """That of `layer`, (N,)."""
        return self.layer.inverse_norm(_flat(x, "OnVolumes"), iterations)

    def condition_number(self, x: Tensor, iterations: int = 30) -> Tensor:
        """That of `layer`, (N,)."""
        return self.layer.condition_number(_flat(x, "OnVolumes"), iterations)


def _flat(x: Tensor, layer: str) -> Tensor:
    if x.ndim != 5:
        raise ShapeError(f"{layer} expects volumes (N, C, D, H, W); got {tuple(x.shape)}")
    return x.flatten(2, 3)
