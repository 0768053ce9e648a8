"""Sanity checks of an explanation, for a reader to judge it by.

Changes as large as the counterfactual that mean nothing, and explanations by networks that know
nothing (Adebayo et al. 2018, Sanity checks for saliency maps, 1810.03292).
"""

from collections.abc import Callable
from copy import deepcopy
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import Tensor

from medinv.explanation.evidence import evidence
from medinv.explanation.ground import grounds_of
from medinv.explanation.local import local_terms
from medinv.explanation.result import Control, Controls, Counterfactual, Explanation, Likeness
from medinv.explanation.trunk import Asked, asked, picture
from medinv.models.base import InvertibleNetwork
from medinv.models.build import build
from medinv.models.depths import mean_states

SEED = 1  # of the untrained weights: the same image gets the same controls in whatever batch
UNTRAINED, SHAM = "untrained weights", "a head of random direction"
BISECTIONS = 40
COLOURS = 3  # channels of a picture in colour, its last axis
LARGEST_BLUR = 64.0  # pixels, standard deviation: beyond it an image of this size is plain


def controls(model: Asked, x: Tensor, explanation: Explanation) -> Controls:
    """What stands beside the explanation of one image `x` (1, C, *size) of integer grey levels.

    Changes as large as the counterfactual: noise, blur and, where the model has a reference, the
    difference of the class means. And the evidence, local evidence first where there is some, by an
    untrained network and by one whose head has learned no label. The untrained one takes its
    statistics from this image and its edits, and its mean states from the mean image of the class
    compared with, as no training image is at hand. Maps of local evidence are compared without
    copies of the image, the own one too: with copies it would take a second more. The same at every
    call.
    """
    edit, reference = explanation.counterfactual, model.reference
    stored = picture(x).numpy()
    others = {
        UNTRAINED: _asked(model, untrained(model.network, _images([stored, *edit.strip], x))),
        SHAM: _asked(model, sham_head(model.network, model.pair)),
    }
    own = explanation.evidence.contributions
    likenesses = [
        likeness(name, "evidence", own, evidence(other, x).contributions)
        for name, other in others.items()
    ]
    if explanation.local_evidence and reference:
        states = reference.grounds(model.pair[1])
        ground = reference.class_means[model.pair[1]][None].to(x)
        first = {UNTRAINED: mean_states(others[UNTRAINED].trunk, [ground], tuple(states))}
        first[SHAM] = states
        grounds = grounds_of(model, x)
        nearest = None if grounds is None else grounds[0]
        mine = _local_map(model, x, states, nearest)
        likenesses = [
            likeness(name, "local evidence", mine, _local_map(other, x, first[name], nearest))
            for name, other in others.items()
        ] + likenesses
    return Controls(_changes(model, x, edit), tuple(likenesses))


def _asked(model: Asked, network: InvertibleNetwork) -> Asked:
    """Another network, asked the same."""
    return asked(network, *model.pair)


def _changes(model: Asked, x: Tensor, edit: Counterfactual) -> tuple[Control, ...]:
    target, step = model.classes.index(edit.target), None
    if model.reference:
        means = model.reference.class_means
        other = sum(model.pair) - target
        step = picture((means[target] - means[other])[None]).numpy()

    @torch.no_grad()
    def answer(image: NDArray) -> tuple[float, bool]:
        logits = model.logits(_images([image], x))
        return model.log_odds(logits).item(), bool(model.called(logits) == target)

    stored = picture(x).numpy().astype(np.uint8)
    return equal_changes(stored, edit.image, answer, class_step=step)


def _images(stored: list[NDArray], x: Tensor) -> Tensor:
    """Pictures (*size) or (*size, C) as a batch (N, C, *size) of the type and device of `x`."""
    many = torch.from_numpy(np.stack(stored))
    return (many[:, None] if x.shape[1] == 1 else many.movedim(-1, 1)).to(x)


def _local_map(
    model: Asked, x: Tensor, states: dict[str, Tensor], ground: Tensor | None
) -> NDArray:
    return local_terms(model, x, states, ground)[0][0].cpu().numpy()


def equal_changes(
    x: NDArray,
    counterfactual: NDArray,
    answer: Callable[[NDArray], tuple[float, bool]],
    *,
    class_step: NDArray | None = None,
    seed: int = 0,
) -> tuple[Control, ...]:
    """Noise, blur and, where given, a fixed step, each of the counterfactual's root mean square.

    x, counterfactual: stored images (*size) or in colour (H, W, 3), uint8; `answer` gives the
    log-odds of such an image and whether it is called as the counterfactual's target; `class_step`,
    of their shape, is the difference of the class means. Like the counterfactual, each is clipped
    and rounded to what could be stored; the size is met after that, where it can be met at all.
    """
    image = x.astype(float)
    noise = 255 * np.random.default_rng(seed).normal(size=x.shape)
    spread = np.array([LARGEST_BLUR] * x.ndim)
    if x.ndim == 3 and x.shape[-1] == COLOURS:
        spread[-1] = 0.0  # colours do not run into one another
    changes: dict[str, Callable[[float], NDArray]] = {
        "noise": lambda t: image + t * noise,
        "blur": lambda t: gaussian_filter(image, t * spread),
    }
    if class_step is not None:
        unit = 255 * class_step / max(_rms(class_step), 1e-9)
        changes["class-mean difference"] = lambda t: image + t * unit
    controls = []
    for name, change in changes.items():
        stored = _of_size(change, image, _rms(counterfactual - image))
        difference, (reached, flipped) = stored - image, answer(stored)
        controls.append(
            Control(
                name=name,
                image=stored,
                rms=_rms(difference),
                logit=reached,
                flipped=flipped,
                cosine=cosine(difference, counterfactual - image),
            )
        )
    return tuple(controls)


def _of_size(change: Callable[[float], NDArray], image: NDArray, wanted: float) -> NDArray:
    """What is stored of `change(t)`, with the t in 0..1 that changes by the rms `wanted`."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _rms(_stored(change(middle)) - image) < wanted:
            low = middle
        else:
            high = middle
    return _stored(change(high))


def likeness(name: str, of: str, own: NDArray, other: NDArray) -> Likeness:
    """How alike two maps of one shape are, by direction and by the order of their sizes."""
    ranks = spearmanr(np.abs(own).ravel(), np.abs(other).ravel())
    return Likeness(name, of, cosine(own, other), float(ranks.statistic))


def mean_cosine(edits: NDArray) -> float:
    """Mean cosine between the changes (n, *size) of different images.

    1 is a template that knows nothing of the case.

    >>> mean_cosine(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    0.3333333333333333
    """
    flat = edits.reshape(len(edits), -1).astype(float)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-12)
    return float(((unit @ unit.T).sum() - (unit**2).sum()) / (len(unit) * (len(unit) - 1)))


def cosine(first: NDArray, second: NDArray) -> float:
    """Of the angle between two arrays of one shape; 0 where one of the two is nothing.

    >>> round(cosine(np.array([1.0, 1.0]), np.array([-2.0, -2.0])), 12)
    -1.0
    """
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first.astype(float) * second).sum() / size) if size > 0 else 0.0


@torch.no_grad()
def sham_head(
    model: InvertibleNetwork, pair: tuple[int, int] = (1, 0), *, seed: int = 0
) -> InvertibleNetwork:
    """A copy of `model` in which two classes differ in a random direction, by as much.

    Its head has learned no label of the two; the trunk keeps its weights.
    """
    sham = deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    towards, against = pair
    weights = model.class_weights
    direction = weights[towards] - weights[against]
    random = torch.randn(direction.shape, generator=generator, dtype=direction.dtype)
    random = random.to(direction.device)
    random *= torch.linalg.vector_norm(direction) / torch.linalg.vector_norm(random)
    middle = torch.stack([weights[against], weights[towards]]).mean(0)
    sham.class_weights[against] = middle - random / 2
    sham.class_weights[towards] = middle + random / 2
    return sham


@torch.no_grad()
def untrained(model: InvertibleNetwork, images: Tensor, *, seed: int = SEED) -> InvertibleNetwork:
    """A newly built network of the configuration of `model`'s card, as training starts.

    Its weights are random, of `seed`, whatever random numbers were drawn before; its statistics are
    those of `images` (N, C, *size), its calibration is `model`'s: that the log-odds are read on the
    same scale changes no map but by a factor.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = cast(InvertibleNetwork, build(model.card.config)).to(images).eval()
    fresh.trunk.initialise(images)
    for name in ("temperature_inverse", "prior", "decision_logit", "typical_odds"):
        getattr(fresh, name).copy_(getattr(model, name))
    return fresh


def _stored(image: NDArray) -> NDArray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _rms(values: NDArray) -> float:
    return float(np.sqrt(np.square(values, dtype=float).mean()))
