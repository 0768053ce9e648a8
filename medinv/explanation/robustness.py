"""How little it takes: the nearest decision boundary, the worst change of the features, and what flips and turns do."""

import math
from collections.abc import Callable

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F

from medinv.explanation.evidence import evidence
from medinv.explanation.result import Distance, Robustness, Turned, WorstCase
from medinv.explanation.trunk import Explainable

OVERSHOOT = 1e-3  # of a step of DeepFool, so that the boundary is crossed and not just met
REGIONS = 8  # a side, over which evidence is compared


def robustness(model: Explainable, x: Tensor) -> Robustness:
    """All three for one image `x` (1, C, *size). The size of the worst case is that of the features' DeepFool step."""
    in_image, in_features = distance_in_image(model, x), distance_in_features(model, x)
    size = in_features.rms * math.sqrt(x.numel())
    return Robustness((in_image, in_features), worst_case(model, x, size=size), turned(model, x))


def distance_in_image(model: Explainable, x: Tensor, *, steps: int = 50) -> Distance:
    """The smallest change of the image that flips the decision, in grey levels (DeepFool, Moosavi-Dezfooli et al. 2016, 1511.04599).

    It steps to the boundary of the tangent map until the network's own boundary is crossed. Its first step is the closed form of an affine map, which is
    the answer if the network is affine that far; how much the two differ says how far it is not.
    """
    moved, affine, taken = _deepfool(lambda u: _above(model, u), x, steps)
    return _distance(model, "image", x, moved, moved - x, affine, taken)


def distance_in_features(model: Explainable, x: Tensor) -> Distance:
    """The same among the features, where the log-odds are linear and the closed form is exact: one step."""
    with torch.no_grad():
        z = model.features(x)
    moved, affine, taken = _deepfool(
        lambda u: model.log_odds(model.logits_of(u)) - model.decision_logit, z, 2
    )
    with torch.no_grad():
        image = model.invert(moved)
    return _distance(model, "features", x, image, moved - z, affine, taken)


def _distance(
    model: Explainable,
    where: str,
    x: Tensor,
    image: Tensor,
    change: Tensor,
    affine: float,
    taken: int,
) -> Distance:
    with torch.no_grad():
        before, after = (_above(model, u).item() for u in (x, image))
    return Distance(
        where,
        change.square().mean().sqrt().item(),
        affine,
        taken,
        (before >= 0) != (after >= 0),
        abs(after),
        _picture(image),
    )


def _deepfool(
    above: Callable[[Tensor], Tensor], x: Tensor, steps: int
) -> tuple[Tensor, float, int]:
    """Where the sign of `above` has changed, the root mean square of the first step alone, and the number of steps."""
    moved, affine, start = x, 0.0, None
    for step in range(steps):
        moved = moved.detach().requires_grad_()
        value = above(moved)
        start = start or (1.0 if value.item() >= 0 else -1.0)
        if value.item() * start < 0:
            return moved.detach(), affine, step
        (slope,) = torch.autograd.grad(value.sum(), moved)
        # Once at the boundary to rounding, a share of nothing crosses nothing: the floor does.
        change = -(value.detach() + start * 1e-6) / slope.square().sum() * slope
        affine = affine or change.square().mean().sqrt().item()
        moved = moved + (1 + OVERSHOOT) * change
    return moved.detach(), affine, steps


def worst_case(model: Explainable, x: Tensor, *, size: float, iterations: int = 12) -> WorstCase:
    """The change of the features of length `size` that moves the decoded image most, after the worst-case reconstruction error of 2101.08286.

    Power iteration on the inverse's Jacobian at the features of `x` (1, C, *size), seeded; a lower estimate that grows with `iterations`.
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
    rms = (image - x).square().mean().sqrt().item()
    predicted = amplification * size / math.sqrt(x.numel())
    return WorstCase(
        size,
        amplification,
        typical,
        rms,
        predicted,
        _picture(image),
        (again - image).abs().max().item(),
    )


def turned(model: Explainable, x: Tensor) -> tuple[Turned, ...]:
    """The decision for one image `x` (1, C, *size) flipped, and turned in its last two axes where they are equally long."""
    moves: list[tuple[str, Callable, Callable]] = [
        ("left-right flip", lambda u: u.flip(-1), lambda u: u.flip(-1)),
        ("upside down flip", lambda u: u.flip(-2), lambda u: u.flip(-2)),
        ("half turn", lambda u: u.rot90(2, (-2, -1)), lambda u: u.rot90(-2, (-2, -1))),
    ]
    if x.shape[-1] == x.shape[-2]:
        moves += [
            ("quarter turn left", lambda u: u.rot90(1, (-2, -1)), lambda u: u.rot90(-1, (-2, -1))),
            ("quarter turn right", lambda u: u.rot90(-1, (-2, -1)), lambda u: u.rot90(1, (-2, -1))),
        ]
    as_it_is, found = evidence(model, x), []
    boundary = model.decision_logit.item()
    for name, turn, undo in moves:
        other = evidence(model, turn(x).contiguous())
        turned_back = undo(torch.from_numpy(other.contributions))
        correlation = spearmanr(
            _regions(torch.from_numpy(as_it_is.contributions)), _regions(turned_back)
        ).statistic
        found.append(
            Turned(
                name,
                other.logit,
                (other.logit >= boundary) == (as_it_is.logit >= boundary),
                float(correlation),
            )
        )
    return tuple(found)


def _regions(contributions: Tensor) -> Tensor:
    pool = F.adaptive_avg_pool2d if contributions.ndim == 2 else F.adaptive_avg_pool3d
    return pool(
        contributions[None, None], tuple(min(REGIONS, side) for side in contributions.shape)
    ).flatten()


def _above(model: Explainable, x: Tensor) -> Tensor:
    return model.log_odds(model.logits_of(model.features(x))) - model.decision_logit


def _picture(image: Tensor):
    return image[0].sum(0).detach().cpu().numpy()
