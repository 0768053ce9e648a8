"""The orthonormal Haar transform of images and of volumes."""

import itertools

import torch
from torch import Tensor

from medinv.errors import ShapeError
from medinv.layers.base import check_images
from medinv.layers.reshape import Orthonormal, to_channels, to_space


class Haar(Orthonormal):
    """One level of the orthonormal Haar transform, (N, C, H, W) -> (N, 4C, H/2, W/2).

    The C averages come first, then the details. Exact in algebra.
    """

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
        self.register_buffer("basis", torch.tensor(rows, dtype=torch.float32) / 2, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, None, "Haar", multiple_of=2)
        n, c, h, w = x.shape
        blocks = to_channels(x, 2).view(n, c, 4, h // 2, w // 2)
        return torch.einsum("jk,nckhw->njchw", self.basis, blocks).reshape(n, 4 * c, h // 2, w // 2)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, None, "Haar.inverse")
        n, c, h, w = y.shape
        blocks = torch.einsum("jk,njchw->nckhw", self.basis, y.view(n, 4, c // 4, h, w))
        return to_space(blocks.reshape(n, c, h, w), 2)


class Haar3d(Orthonormal):
    """One level of the orthonormal Haar transform of volumes, (N, C, D, H, W) -> (N, 8C, D/2, H/2,
    W/2); the C averages come first. Exact in algebra.
    """

    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        rows = [
            torch.einsum("a,b,c->abc", *(line[i] for i in which)).flatten()
            for which in itertools.product((0, 1), repeat=3)
        ]
        self.register_buffer(
            "signs", torch.stack(rows), persistent=False
        )  # whole numbers, so that the basis is as exact as the images' type

    @property
    def basis(self) -> Tensor:
        """(8, 8) orthonormal."""
        return self.signs * 8**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        _check_volumes(x, "Haar3d", channels=1, sides=2)
        n, c, d, h, w = x.shape
        blocks = (
            x.reshape(n, c, d // 2, 2, h // 2, 2, w // 2, 2)
            .permute(0, 1, 3, 5, 7, 2, 4, 6)
            .reshape(n, c, 8, d * h * w // 8)
        )
        return torch.einsum("jk,nckv->njcv", self.basis, blocks).reshape(
            n, 8 * c, d // 2, h // 2, w // 2
        )

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        _check_volumes(y, "Haar3d.inverse", channels=8, sides=1)
        n, c, d, h, w = y.shape
        blocks = torch.einsum(
            "jk,njcv->nckv", self.basis, y.reshape(n, 8, c // 8, d * h * w)
        ).reshape(n, c // 8, 2, 2, 2, d, h, w)
        return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, c // 8, 2 * d, 2 * h, 2 * w)


def _check_volumes(x: Tensor, layer: str, *, channels: int, sides: int) -> None:
    wanted = f"volumes (N, C, D, H, W), C divisible by {channels} and D, H, W by {sides}"
    if x.ndim != 5 or x.shape[1] % channels or any(n % sides or n == 0 for n in x.shape[2:]):
        raise ShapeError(f"{layer} expects {wanted}; got {tuple(x.shape)}")
