"""Whether an image is laid out like those that a model was made for: part of its scope.

Two statistics of training images, whose bounds are quantiles of validation images. The distance is
Mahalanobis's, over a grid of places, of the sharpness, brightness and contrast there: a region that
was blanked, another part of the body lie far off. Pose is how likely an image stands as those of
training do, neither mirrored nor turned nor cut out of one: see `medinv.models.pose`. Neither asks
the model's network, so that every kind of model of images can have them; volumes have none. What
looks mirrored may be a heart on the right: there the model is asked both ways round. No image can
be made of what is kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from medinv.models.pose import CHANGES, MIRRORED, STEPS, Pose, fit_pose

GRID = 5  # places along a side
SIDE = 64  # to which images are reduced for the distance
LOST = 0.002  # share of validation images beyond either bound
LIKELY = math.log(0.5)  # from which an image is as it is, even if those of validation are surer
FEWEST = 10  # training images a value of the distance, below which none is fitted
RIDGE = 1e-3  # of the mean variance, added to each
AT_ONCE = 256
OWN, POSE = ("centre", "whitening", "farthest", "least_as_is"), "pose."  # tensors in the file


Call = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> numbers (N,) of the classes called


@dataclass(frozen=True)
class Looked:
    """What is seen of one image: why it gets no label, and what to know where it gets one."""

    objections: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What is kept, and the bounds of both statistics. centre (T,), whitening (T, T)."""

    centre: Tensor
    whitening: Tensor
    pose: Pose
    farthest: Tensor  # () greatest distance of an image in scope
    least_as_is: Tensor  # () least log-probability of the pose of one

    def distance(self, images: Tensor) -> Tensor:
        """Of images (N, C, H, W) in grey levels, (N,)."""
        return ((_terms(_grey(images)) - self.centre) @ self.whitening.T).norm(dim=1)

    def look_at(self, images: Tensor, called: Tensor, call: Call) -> list[Looked]:
        """At images (N, C, H, W) in grey levels, of which the classes (N,) were called.

        One that looks mirrored, as of a child whose heart lies on the right, is called the other
        way round, too: where that is the same, the label stands.
        """
        distances, poses = self.distance(images), self.pose(images)
        changed = poses[:, 0] < self.least_as_is
        seen = []
        for k, distance in enumerate(distances.tolist()):
            change = CHANGES[int(poses[k, 1:].argmax())] if changed[k] else ""
            same = change == MIRRORED and int(call(images[k : k + 1].flip(3))) == int(called[k])
            seen.append(self._seen(distance, change, same))
        return seen

    def _seen(self, distance: float, change: str, same: bool) -> Looked:
        bound = self.farthest.item()
        far = f"it is laid out otherwise: score {distance:.1f}; images in scope reach {bound:.1f}"
        looks = f"it looks {change}"
        if change == MIRRORED:
            which = "the same" if same else "another"
            looks += f": check which side is which; the other way round it gets {which} label"
        objections = {far: distance > bound, looks: change and not same}
        kept = tuple(f"layout: {text}" for text, holds in objections.items() if holds)
        return Looked(kept, (looks,) if same else ())


def fit_layout(training: np.ndarray, validation: np.ndarray, steps: int = STEPS) -> Layout | None:
    """Of training and validation images (N, C, H, W) in grey levels, some minutes of one processor;
    None of volumes and of few images. steps: of what the pose is learnt in.
    """
    if training.ndim != 4 or len(training) < FEWEST * _count():
        return None
    terms = _in_parts(lambda x: _terms(_grey(x)), training)
    covariance = torch.cov(terms.T)
    ridge = RIDGE * covariance.diagonal().mean()
    whole = covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype)
    whitening = torch.linalg.inv(torch.linalg.cholesky(whole))
    open_ = torch.tensor(torch.inf, dtype=terms.dtype)
    loose = Layout(terms.mean(0), whitening, fit_pose(training, steps), open_, -open_)
    as_is = _in_parts(lambda x: loose.pose(x)[:, 0], validation)
    return replace(
        loose,
        farthest=_in_parts(loose.distance, validation).quantile(1 - LOST),
        least_as_is=as_is.quantile(LOST).clamp_max(LIKELY),
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


def serialise_layout(layout: Layout) -> bytes:
    """As safetensors, float32."""
    own = {name: getattr(layout, name) for name in OWN}
    pose = {f"{POSE}{name}": tensor for name, tensor in layout.pose.state_dict().items()}
    return save_tensors({name: t.float().contiguous() for name, t in (own | pose).items()})


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
        tensors = load_tensors(data)
        own = {name: tensors[name].double() for name in OWN}
        pose = Pose()
        pose.load_state_dict(
            {name.removeprefix(POSE): t for name, t in tensors.items() if name.startswith(POSE)}
        )
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise IntegrityError(
            f"this is no layout of this version: {error}; restore the file, or run the training's "
            "command again, which writes it anew",
            path=folder / LAYOUT,
        ) from error
    count = _count()
    shapes = [tuple(tensor.shape) for tensor in own.values()]
    finite = all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    if shapes != [(count,), (count, count), (), ()] or not finite:
        raise IntegrityError(
            "this layout is not whole: expected finite numbers of another shape; restore the file",
            path=folder / LAYOUT,
        )
    return Layout(**own, pose=pose.eval().requires_grad_(False))
