"""Where the evidence lies: the same exact sum, against what is usual at that place and at a depth where little cancels.

At the pixels nearly all of the evidence cancels, and a constant grey image is a poor ground to compare with. Half-way up the trunk, against the mean of what
stands there over training images of the negative class, what remains is what is unusual about this image and counts. It is the mean over copies of the image,
each moved a little and with faint noise, so that it does not hang on where the network's grid lies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.explanation.affine import freeze
from medinv.explanation.result import LocalCheck, LocalEvidence
from medinv.explanation.cycle_spinning import copies, moved_back
from medinv.explanation.trunk import Explainable, decision, run, steps

CHECKED = 0.05  # share of the pixels that the check replaces
FEATHER, SHARPENED = (
    1.5,
    1.6,
)  # standard deviation of the soft edge, pixels; what is less than 1 / SHARPENED inside is replaced in part
QUARTERS = 4  # moves along each axis: 15 other places
AT_ONCE = 8  # copies that go through the network together: as quick as all of them, and memory stays bounded


@dataclass(frozen=True)
class SpunTerms:
    """Of N images: maps.sum + bias + jitter = logit, exactly."""

    maps: Tensor  # (N, *size) log-odds, mean over the copies, each moved back
    bias: Tensor  # (N,) mean over the copies
    jitter: Tensor  # (N,) log-odds of the image less the mean over its copies
    logit: Tensor  # (N,) of the image itself
    residual: Tensor  # (N,) |maps.sum + bias + jitter - logit|, with jitter and logit from passes through the network as it is


def local_evidence(
    model: Explainable, x: Tensor, usual: Mapping[str, Tensor], noise: float = 0.0
) -> LocalEvidence:
    """The calibrated log-odds of one image `x` (1, C, *size) as an exact sum over places, and of what moving it a little does.

    usual: by the name of a depth (see `walk.steps`), the mean state (C_d, *size_d) there. With u_d the state of a copy, m_d the usual one and A_d, b_d the
    affine map from there to the log-odds with gates frozen at the copy, its log-odds are sum A_d (u_d - m_d) + b_d for each d, and so for their mean over d. Terms
    of a depth are summed over channels and spread over the pixels around their place, by the adjoint of averaging, which keeps the sum; so does moving the map of
    a copy back. Copies are those of `spin.copies`, in `noise` that the network was trained with. The mean of their sums is the mean of their log-odds; what the
    image's own differ from that is `jitter`: no place carries it.
    Raises ConfigError for a depth that the trunk does not have.
    """
    found = spun_terms(model, x, usual, noise)
    grain = x.shape[-1] // max(state.shape[-1] for state in usual.values())
    scalars = (part.item() for part in (found.bias, found.jitter, found.logit, found.residual))
    return LocalEvidence(found.maps[0].cpu().numpy(), tuple(usual), grain, *scalars)


def spun_terms(
    model: Explainable, x: Tensor, usual: Mapping[str, Tensor], noise: float = 0.0
) -> SpunTerms:
    """What `local_evidence` says of one image, of images x (N, C, *size)."""
    maps, biases, odds, pending = torch.zeros_like(x[:, 0]), [], [], list(copies(x, noise))
    for some in (pending[i : i + AT_ONCE] for i in range(0, len(pending), AT_ONCE)):
        batch = torch.cat([copy for _, copy in some])
        terms, bias, _ = local_terms(model, batch, usual)
        maps = maps + sum(
            moved_back(part, move) for (move, _), part in zip(some, terms.split(len(x)))
        )
        biases.append(bias.view(-1, len(x)))
        odds.append(_log_odds(model, batch).view(-1, len(x)))
    maps, bias, logit = maps / len(pending), torch.cat(biases).mean(0), _log_odds(model, x)
    jitter = logit - torch.cat(odds).mean(0)
    return SpunTerms(
        maps, bias, jitter, logit, (maps.flatten(1).sum(1) + bias + jitter - logit).abs()
    )


@torch.no_grad()
def _log_odds(model: Explainable, x: Tensor) -> Tensor:
    return model.log_odds(model.logits_of(model.features(x)))


@torch.no_grad()
def checked(model: Explainable, x: Tensor, found: LocalEvidence, ground: Tensor) -> LocalEvidence:
    """`found`, of one image `x` (1, C, *size), with its check: the CHECKED share of the pixels that speaks most for the class called is replaced by those of
    `ground` (C, *size), the mean image of the negative class, with soft edges, since a hard edge would be a finding by itself; then the same shape moved round
    the image by quarters of each of the last two axes.

    The map says what counted; a change of the image says whether it counts. What any other place would do as well is not claimed.
    """
    sign = 1.0 if found.logit >= model.decision_logit.item() else -1.0
    values = sign * found.locations
    strongest = values >= np.quantile(values, 1 - CHECKED)
    soft = np.clip(SHARPENED * gaussian_filter(strongest.astype(float), FEATHER, mode="wrap"), 0, 1)
    shape, (height, width) = torch.from_numpy(soft).to(x), values.shape[-2:]
    moves = [
        (i * height // QUARTERS, j * width // QUARTERS)
        for i in range(QUARTERS)
        for j in range(QUARTERS)
    ]
    masks = torch.stack([shape.roll(move, (-2, -1)) for move in moves])[:, None]
    odds = _log_odds(model, x * (1 - masks) + ground.to(x) * masks)
    falls = (sign * (found.logit - odds)).tolist()
    return replace(found, check=LocalCheck(CHECKED, falls[0], tuple(falls[1:])))


def local_terms(
    model: Explainable, x: Tensor, usual: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The maps (N, *size), biases (N,) and logits (N,) of images x (N, C, *size) as they are, no copies taken."""
    path = steps(model.trunk)
    missing = set(usual) - {step.name for step in path}
    if missing or not usual:
        raise ConfigError(
            f"local evidence: expected names of depths of this trunk, got {', '.join(sorted(missing)) or 'none'}; take them from medinv.explanation.trunk.steps"
        )
    with torch.no_grad():
        states = [state.here for state in run(path, x)]
        grounds: dict[str, Tensor] = {}
    nodes: dict[str, Tensor] = {}
    main: Tensor | None = (
        None  # the path from the first depth, whose gradient gives the slope at every later one
    )
    for step, before, here in zip(path, [x, *states], states):
        if main is not None:
            with torch.no_grad():
                frozen = freeze(step.layer, before)
                grounds = {
                    name: _kept(frozen(ground), step.kept) for name, ground in grounds.items()
                }
            main = _kept(frozen(main), step.kept)
        if step.name in usual:
            ground = usual[step.name].to(x).expand_as(here)
            grounds[step.name] = ground
            main = ground.clone().requires_grad_() if main is None else main
            nodes[step.name] = main
    slopes = torch.autograd.grad(decision(model, main).sum(), list(nodes.values()))
    by_name = {step.name: state for step, state in zip(path, states)}
    maps = [
        _spread((slope * (by_name[name] - usual[name].to(x))).sum(1), x.shape[2:])
        for name, slope in zip(nodes, slopes)
    ]
    with torch.no_grad():
        bias = torch.stack([decision(model, ground) for ground in grounds.values()]).mean(0)
        return torch.stack(maps).mean(0), bias, decision(model, states[-1])


@torch.no_grad()
def usual_states(
    model: Explainable, batches: Iterable[Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """The mean of what stands at the depths `names` over batches of images (N, C, *size)."""
    path, sums, count = steps(model.trunk), dict.fromkeys(names, 0.0), 0
    for x in batches:
        count += len(x)
        for step, state in zip(path, run(path, x)):
            if step.name in sums:
                sums[step.name] = sums[step.name] + state.here.sum(0)
    return {name: total / count for name, total in sums.items()}


def _kept(x: Tensor, kept: int | None) -> Tensor:
    return x if kept is None else x[:, :kept]


def _spread(terms: Tensor, size: torch.Size) -> Tensor:
    """(N, *coarse) to (N, *size) with the sum kept: the adjoint of averages over overlapping regions."""
    factor = size[-1] // terms.shape[-1]
    if factor == 1:
        return terms
    flat = len(size) == 2
    average, adaptive = (
        (F.avg_pool2d, F.adaptive_avg_pool2d) if flat else (F.avg_pool3d, F.adaptive_avg_pool3d)
    )
    image = terms.new_zeros(len(terms), 1, *size, requires_grad=True)
    width = 2 * (factor // 2) + 1
    pooled = adaptive(
        average(image, width, 1, factor // 2, count_include_pad=False), terms.shape[1:]
    )
    return torch.autograd.grad(pooled, image, terms[:, None])[0][:, 0]
