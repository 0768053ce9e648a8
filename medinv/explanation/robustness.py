"""How little it takes: the nearest decision boundary, the worst change, and flips and turns."""

import math
from collections.abc import Callable

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F

from medinv.explanation.evidence import evidence
from medinv.explanation.result import Distance, Orientation, Robustness, WorstCase
from medinv.explanation.trunk import Explainable, decision, log_odds, picture

OVERSHOOT = 1e-3  # of a step of DeepFool, so that the boundary is crossed and not just met
CROSSED = 1e-6  # log-odds: once at the boundary to rounding, a share of nothing crosses nothing
REGIONS = 8  # a side, over which evidence is compared

Turn = Callable[[Tensor], Tensor]
FLIPS: tuple[tuple[str, Turn, Turn], ...] = (
    ("left-right flip", lambda u: u.flip(-1), lambda u: u.flip(-1)),
    ("upside down flip", lambda u: u.flip(-2), lambda u: u.flip(-2)),
    ("half turn", lambda u: u.rot90(2, (-2, -1)), lambda u: u.rot90(-2, (-2, -1))),
)
QUARTER_TURNS: tuple[tuple[str, Turn, Turn], ...] = (
    ("quarter turn left", lambda u: u.rot90(1, (-2, -1)), lambda u: u.rot90(-1, (-2, -1))),
    ("quarter turn right", lambda u: u.rot90(-1, (-2, -1)), lambda u: u.rot90(1, (-2, -1))),
)


def robustness(model: Explainable, x: Tensor) -> Robustness:
    """All three for one image `x` (1, C, *size).

    The size of the worst case is that of the features' DeepFool step.
    """
    in_image, in_features = distance_in_image(model, x), distance_in_features(model, x)
    size = in_features.rms * math.sqrt(x.numel())
    return Robustness(
        (in_image, in_features), worst_case(model, x, size=size), orientations(model, x)
    )


def distance_in_image(model: Explainable, x: Tensor, *, steps: int = 50) -> Distance:
    """The smallest change of the image `x` (1, C, *size) that flips the decision, in grey levels.

    DeepFool (Moosavi-Dezfooli et al. 2016, 1511.04599) steps to the boundary of the tangent map
    until the network's own boundary is crossed. Its first step is the closed form of an affine map,
    which is the answer if the network is affine that far; how much the two differ says how far it
    is not.
    """
    moved, affine, taken = _deepfool(lambda u: _above(model, log_odds(model, u)), x, steps)
    return _distance(model, "image", x, (moved, moved - x), affine, taken)


def distance_in_features(model: Explainable, x: Tensor) -> Distance:
    """The same among the features, where the log-odds are linear: one step is exact."""
    with torch.no_grad():
        z = model.features(x)
    moved, affine, taken = _deepfool(lambda u: _above(model, decision(model, u)), z, 2)
    with torch.no_grad():
        image = model.invert(moved)
    return _distance(model, "features", x, (image, moved - z), affine, taken)


@torch.no_grad()
def _distance(
    model: Explainable,
    where: str,
    x: Tensor,
    changed: tuple[Tensor, Tensor],
    affine: float,
    taken: int,
) -> Distance:
    """Of a changed image and the change that made it, in the units of `where`."""
    image, change = changed
    before, after = (_above(model, log_odds(model, u)).item() for u in (x, image))
    return Distance(
        where=where,
        rms=change.square().mean().sqrt().item(),
        affine_rms=affine,
        steps=taken,
        flipped=(before >= 0) != (after >= 0),
        residual=abs(after),
        image=picture(image).numpy(),
    )


def _deepfool(
    above: Callable[[Tensor], Tensor], x: Tensor, steps: int
) -> tuple[Tensor, float, int]:
    """Where `above` has changed its sign, the root mean square of the first step, and the steps."""
    moved, affine, side = x, 0.0, 0.0
    for step in range(steps):
        moved = moved.detach().requires_grad_()
        value = above(moved)
        side = side or (1.0 if value.item() >= 0 else -1.0)
        if value.item() * side < 0:
            return moved.detach(), affine, step
        (slope,) = torch.autograd.grad(value.sum(), moved)
        change = -(value.detach() + side * CROSSED) / slope.square().sum() * slope
        affine = affine or change.square().mean().sqrt().item()
        moved = moved + (1 + OVERSHOOT) * change
    return moved.detach(), affine, steps


def worst_case(model: Explainable, x: Tensor, *, size: float, iterations: int = 12) -> WorstCase:
    """The change of the features of length `size` that moves the decoded image most.

    It follows the worst-case reconstruction error of Behrmann et al. (2021, 2101.08286): power
    iteration on the inverse's Jacobian at the features of `x` (1, C, *size), seeded; a lower
    estimate that grows with `iterations`.
    """
    with torch.no_grad():
        z = model.features(x)
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
    typical = 0.0
    for _ in range(iterations):
        v = v / torch.linalg.vector_norm(v)
        pushed = torch.autograd.functional.jvp(model.invert, z, v)[1]
        amplification = torch.linalg.vector_norm(pushed).item()
        typical, direction = typical or amplification, v
        v = torch.autograd.functional.vjp(model.invert, z, pushed)[1]
    with torch.no_grad():
        image = model.invert(z + size * direction)
        again = model.invert(model.features(image))
    return WorstCase(
        size=size,
        amplification=amplification,
        typical=typical,
        image_rms=(image - x).square().mean().sqrt().item(),
        predicted_rms=amplification * size / math.sqrt(x.numel()),
        image=picture(image).numpy(),
        rounding_error=(again - image).abs().max().item(),
    )


def orientations(model: Explainable, x: Tensor) -> tuple[Orientation, ...]:
    """The decision for one image `x` (1, C, *size) flipped, and turned in its last two axes.

    It is turned by quarters only where those are equally long.
    """
    own, boundary = evidence(model, x), model.decision_logit.item()
    regions = _regions(torch.from_numpy(own.contributions))
    turns = FLIPS + (QUARTER_TURNS if x.shape[-1] == x.shape[-2] else ())
    decisions = []
    for name, turn, undo in turns:
        other = evidence(model, turn(x).contiguous())
        restored = _regions(undo(torch.from_numpy(other.contributions)))
        alike = (other.logit >= boundary) == (own.logit >= boundary)
        correlation = float(spearmanr(regions, restored).statistic)
        decisions.append(Orientation(name, other.logit, alike, correlation))
    return tuple(decisions)


def _regions(contributions: Tensor) -> Tensor:
    image, sides = contributions[None, None], [min(REGIONS, side) for side in contributions.shape]
    if len(sides) == 2:
        return F.adaptive_avg_pool2d(image, (sides[0], sides[1])).flatten()
    return F.adaptive_avg_pool3d(image, (sides[0], sides[1], sides[2])).flatten()


def _above(model: Explainable, odds: Tensor) -> Tensor:
    return odds - model.decision_logit
