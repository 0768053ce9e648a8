"""Whether an image is laid out like those that a model was made for: part of its scope.

Two statistics of training images, whose bounds are quantiles of validation images. The distance is
Mahalanobis's, over a grid of places, of the sharpness, brightness and contrast there: a region that
was blanked, a quarter turn, another part of the body lie far off. Upright is how much more an image
is like the mean training image than like that image upside down. Neither asks the network, so that
every kind of model of images can have them; volumes have none. No image can be made of what is
kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import IntegrityError
from medinv.models.folder import LAYOUT, digest, read_file

GRID = 5  # places along a side
SIDE, COARSE = 64, 16  # to which images are reduced for the distance, and for upright
LOST = 0.002  # share of validation images beyond either bound
FEWEST = 10  # training images a value of the distance, below which none is fitted
RIDGE = 1e-3  # of the mean variance, added to each
AT_ONCE = 256


@dataclass(frozen=True)
class Layout:
    """What is kept, and the bounds of both statistics.

    centre (T,), whitening (T, T), film (COARSE^2,) of unit length.
    """

    centre: Tensor
    whitening: Tensor
    film: Tensor
    farthest: Tensor  # () greatest distance of an image in scope
    least_upright: Tensor  # ()

    def distance(self, images: Tensor) -> Tensor:
        """Of images (N, C, H, W) in grey levels, (N,)."""
        return ((_terms(_grey(images)) - self.centre) @ self.whitening.T).norm(dim=1)

    def upright(self, images: Tensor) -> Tensor:
        """Of images (N, C, H, W) the correlation with the mean image, less that upside down."""
        turned = self.film.view(COARSE, COARSE).flip(0).flatten()
        return _coarse(_grey(images)) @ (self.film - turned)

    def flagged(self, images: Tensor) -> Tensor:
        """Which of images (N, C, H, W) lie out of scope, (N,) bool."""
        far = self.distance(images) > self.farthest
        return far | (self.upright(images) < self.least_upright)

    def objections(self, images: Tensor) -> list[tuple[str, ...]]:
        """Why each of images (N, C, H, W) lies out of scope; empty for those within."""
        distances, bound = self.distance(images).tolist(), self.farthest.item()
        turned = (self.upright(images) < self.least_upright).tolist()
        return [
            tuple(
                text
                for text, holds in (
                    (f"layout: score {far:.1f}; images in scope reach {bound:.1f}", far > bound),
                    ("layout: it looks upside down", down),
                )
                if holds
            )
            for far, down in zip(distances, turned, strict=True)
        ]


def fit_layout(training: np.ndarray, validation: np.ndarray) -> Layout | None:
    """Of training and validation images (N, C, H, W) uint8; None of volumes and of few images."""
    if training.ndim != 4 or len(training) < FEWEST * _count():
        return None
    terms = _in_parts(lambda x: _terms(_grey(x)), training)
    film = F.normalize(_in_parts(lambda x: _coarse(_grey(x)), training).mean(0), dim=0)
    covariance = torch.cov(terms.T)
    ridge = RIDGE * covariance.diagonal().mean()
    whole = covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype)
    whitening = torch.linalg.inv(torch.linalg.cholesky(whole))
    open_ = torch.tensor(torch.inf, dtype=terms.dtype)
    loose = Layout(terms.mean(0), whitening, film, open_, -open_)
    return Layout(
        loose.centre,
        loose.whitening,
        loose.film,
        _in_parts(loose.distance, validation).quantile(1 - LOST),
        _in_parts(loose.upright, validation).quantile(LOST),
    )


def _count() -> int:
    return 3 * GRID**2 - 1


def _in_parts(function: Callable[[Tensor], Tensor], images: np.ndarray) -> Tensor:
    return torch.cat(
        [
            function(torch.from_numpy(np.ascontiguousarray(images[i : i + AT_ONCE])).double())
            for i in range(0, len(images), AT_ONCE)
        ]
    )


def _grey(images: Tensor) -> Tensor:
    """(N, 1, H, W) float64 on the processor, the mean of the channels."""
    return images.detach().double().cpu().mean(1, keepdim=True)


def _terms(images: Tensor) -> Tensor:
    """What the distance is of, (N, T): by place the logarithms of the mean squared Laplacian and of
    the variance, and the brightness against that of the whole image."""
    small = F.interpolate(images, size=(SIDE, SIDE), mode="area")
    around = F.pad(small, [1] * 4, mode="replicate")
    middle = around[..., 1:-1, 1:-1]
    sides = around[..., :-2, 1:-1] + around[..., 2:, 1:-1]
    steps = 4 * middle - sides - around[..., 1:-1, :-2] - around[..., 1:-1, 2:]
    mean = F.adaptive_avg_pool2d(small, GRID)
    variance = (F.adaptive_avg_pool2d(small.square(), GRID) - mean.square()).clamp_min(0)
    sharpness = F.adaptive_avg_pool2d(steps.square(), GRID)
    level = mean.flatten(1)
    level = (level - level.mean(1, keepdim=True)) / level.std(1, keepdim=True).clamp_min(1)
    logs = [(part + 1).log().flatten(1) for part in (sharpness, variance)]
    return torch.cat([*logs, level[:, :-1]], 1)


def _coarse(images: Tensor) -> Tensor:
    """(N, COARSE^2) of unit length and mean 0."""
    flat = F.interpolate(images, size=(COARSE, COARSE), mode="area").flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def serialise_layout(layout: Layout) -> bytes:
    """As safetensors, float32."""
    return save_tensors({name: t.float().contiguous() for name, t in vars(layout).items()})


def read_layout(folder: Path, sha256: str) -> Layout:
    """That of a model's folder. Raises IntegrityError where it is not the one that is meant."""
    data = read_file(folder, LAYOUT)
    if digest(data) != sha256:
        raise IntegrityError(
            f"the layout is not that of the card: expected SHA-256 {sha256}, got {digest(data)}; "
            "restore the file",
            path=folder / LAYOUT,
        )
    try:
        layout = Layout(**{name: t.double() for name, t in load_tensors(data).items()})
    except (SafetensorError, TypeError) as error:
        raise IntegrityError(f"this is no layout: {error}", path=folder / LAYOUT) from error
    count = _count()
    shapes = [(count,), (count, count), (COARSE**2,), (), ()]
    values = vars(layout).values()
    finite = all(bool(value.isfinite().all()) for value in values)
    if [tuple(value.shape) for value in values] != shapes or not finite:
        raise IntegrityError(
            "this layout is not whole: expected finite numbers of another shape; restore the file",
            path=folder / LAYOUT,
        )
    return layout
