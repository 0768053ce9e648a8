"""What stands beside an explanation: changes as large that mean nothing, and explanations by networks that know nothing."""

from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import Tensor, nn

from medinv.explanation.result import Control, Likeness

BISECTIONS = 40
LARGEST_BLUR = 64.0  # pixels, standard deviation: beyond it an image of this size is plain


def equal_changes(
    x: NDArray,
    counterfactual: NDArray,
    logit: Callable[[NDArray], float],
    flips: Callable[[float], bool],
    *,
    class_step: NDArray | None = None,
    seed: int = 0,
) -> tuple[Control, ...]:
    """Noise, blur and, where it is given, the fixed difference of the class means `class_step` (*size), each of the counterfactual's root mean square.

    x, counterfactual: stored images (*size) uint8; `logit` classifies such an image and `flips` says whether that is the class aimed at. Like the
    counterfactual, each is clipped and rounded to what could be stored; the size is met after that, where it can be met at all.
    """
    image = x.astype(float)
    noise = 255 * np.random.default_rng(seed).normal(size=x.shape)
    changes: dict[str, Callable[[float], NDArray]] = {
        "noise": lambda t: image + t * noise,
        "blur": lambda t: gaussian_filter(image, t * LARGEST_BLUR),
    }
    if class_step is not None:
        unit = 255 * class_step / max(_rms(class_step), 1e-9)
        changes["class-mean difference"] = lambda t: image + t * unit
    found = []
    for name, change in changes.items():
        stored = _of_size(change, image, _rms(counterfactual - image))
        difference, reached = stored - image, logit(stored)
        found.append(
            Control(
                name,
                stored,
                _rms(difference),
                reached,
                flips(reached),
                cosine(difference, counterfactual - image),
            )
        )
    return tuple(found)


def _of_size(change: Callable[[float], NDArray], image: NDArray, wanted: float) -> NDArray:
    """What is stored of `change(t)`, with the t in 0..1 at which it differs from `image` by the root mean square `wanted`."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _rms(_stored(change(middle)) - image) < wanted else (low, middle)
        )
    return _stored(change(high))


def likeness(name: str, of: str, own: NDArray, other: NDArray) -> Likeness:
    """How alike two maps of one shape are, by direction and by the order of their sizes."""
    return Likeness(
        name,
        of,
        cosine(own, other),
        float(spearmanr(np.abs(own).ravel(), np.abs(other).ravel()).statistic),
    )


def likenesses(
    of: str, own: NDArray, explain: Callable[[nn.Module], NDArray], others: Mapping[str, nn.Module]
) -> tuple[Likeness, ...]:
    """One explanation of one image beside the same made with other networks, by name."""
    return tuple(likeness(name, of, own, explain(other)) for name, other in others.items())


def mean_cosine(edits: NDArray) -> float:
    """Mean cosine between the changes (n, *size) of different images: 1 is a template that knows nothing of the case."""
    flat = edits.reshape(len(edits), -1).astype(float)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-12)
    return float(((unit @ unit.T).sum() - (unit**2).sum()) / (len(unit) * (len(unit) - 1)))


def cosine(first: NDArray, second: NDArray) -> float:
    """0 where one of the two is nothing."""
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first.astype(float) * second).sum() / size) if size > 0 else 0.0


@torch.no_grad()
def sham_head(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """A copy of `model` whose class means differ in a random direction by as much: a head that has learned no label. The trunk keeps its weights."""
    sham = deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    direction = model.means[1] - model.means[0]
    random = torch.randn(direction.shape, generator=generator, dtype=direction.dtype).to(
        direction.device
    )
    random *= torch.linalg.vector_norm(direction) / torch.linalg.vector_norm(random)
    middle = model.means.mean(0)
    sham.means.copy_(torch.stack([middle - random / 2, middle + random / 2]))
    return sham


@torch.no_grad()
def untrained(fresh: nn.Module, model: nn.Module, images: Tensor) -> nn.Module:
    """`fresh`, a newly built network of the same configuration, made ready as training starts (statistics from `images` (N, C, *size)), with `model`'s calibration.

    Its weights are random; that the log-odds are read on the same scale changes no map but by a factor.
    """
    fresh = fresh.to(images.dtype).eval()
    fresh.trunk.initialise(images)
    for name in ("temperature_inverse", "prior", "decision_logit", "typical_odds"):
        getattr(fresh, name).copy_(getattr(model, name))
    return fresh


def _stored(image: NDArray) -> NDArray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _rms(values: NDArray) -> float:
    return float(np.sqrt(np.square(values, dtype=float).mean()))
