"""Where the evidence lies: what the answers to an image and to its ground differ by, by places.

At the pixels nearly all of the evidence cancels, and a constant grey image is a poor ground to
compare with. Half-way up the trunk, against what stands there for an image of the class compared
with (of two the negative one), what remains is what is unusual about this image and counts. Where
the model knows what stands in its region in images of the other class, that image is this very
image with the region of such ones (`ground.grounds_of`): then what lies outside cancels. Elsewhere
it is the mean over training images of the class. Between both the network is an affine map exactly
(`affine.freeze`), so that the places share out the difference of the two answers and nothing else.
The evidence is the mean over copies of the image, each moved a little and with faint noise, so that
it does not hang on where the grid lies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from medinv.errors import ConfigError
from medinv.explanation.affine import freeze
from medinv.explanation.cycle_spinning import copies, moved_back
from medinv.explanation.result import LocalCheck, LocalEvidence
from medinv.explanation.trunk import Explainable, decision, log_odds
from medinv.models.depths import Step, run, steps

CHECKED = 0.05  # share of the pixels that the check replaces
FEATHER = 1.5  # standard deviation of the soft edge, pixels
SHARPENED = 1.6  # what is less than 1 / SHARPENED inside is replaced in part
QUARTERS = 4  # moves along each axis: 15 other places
# Over what an image's difference from its ground and the evidence are averaged (standard
# deviations, shares of the side), and grey levels that are no difference: chosen on findings
# planted in validation films.
NEAR, AROUND, NONE = 0.02, 0.06, 0.02
AT_ONCE = 8  # copies that go through together: as quick as all of them, and memory stays bounded


@dataclass(frozen=True)
class CycleSpunTerms:
    """Of N images: maps.sum + bias + jitter = logit, exactly."""

    maps: Tensor  # (N, *size) log-odds, mean over the copies, each moved back
    bias: Tensor  # (N,) mean over the copies
    jitter: Tensor  # (N,) log-odds of the image less the mean over its copies
    logit: Tensor  # (N,) of the image itself
    residual: (
        Tensor  # (N,) |maps.sum + bias + jitter - logit|; the last two by the network as it is
    )


def local_evidence(
    model: Explainable,
    x: Tensor,
    states: Mapping[str, Tensor],
    noise: float = 0.0,
    region: NDArray | None = None,
    grounds: Tensor | None = None,
) -> LocalEvidence:
    """The log-odds of one image `x` (1, C, *size) as an exact sum over places, and jitter.

    states: by the name of a depth (see `models.depths.steps`), the mean state (C_d, *size_d) of
    images of the class compared with there. With u_d the state of a copy, m_d the mean one, b_d the
    log-odds that the network gives m_d, and A_d its slope from there between both, those of the
    copy are

        sum A_d (u_d - m_d) + b_d

    for each d, and so for their mean over d. With `grounds` (K, 1, C, *size), the image as it might
    be, m_d is the state of one of them, whatever `states` hold for the depths they name; copies
    take them in turn, and go from there in two pieces, by the mean of both images, whose sums add
    up alike: what is half a finding is asked too. Terms of a depth are summed over channels and
    spread over the pixels around their place, by the adjoint of averaging, which keeps the sum; so
    do moving the map of a copy back and, with `grounds`, drawing evidence to the pixels that differ
    (`_drawn`). Copies are those of `cycle_spinning.copies`, in `noise` that the network was trained
    with. The mean of their sums is the mean of their log-odds; what the image's own differ from
    that is `jitter`: no place carries it. Of a `region` (*size) bool the terms outside are summed
    in `outside`.
    Raises ConfigError for a depth that the trunk does not have.
    """
    terms = cycle_spun_terms(model, x, states, noise, grounds)
    everywhere = terms.maps[0].cpu().numpy()
    inside = np.ones(everywhere.shape, bool) if region is None else region
    sign = 1.0 if terms.logit.item() >= model.decision_logit.item() else -1.0
    return LocalEvidence(
        locations=np.where(inside, everywhere, 0.0),
        outside=float(everywhere[~inside].sum()),
        region=region,
        strays=not inside.flat[(sign * everywhere).argmax()],
        depths=tuple(states),
        grain=x.shape[-1] // max(state.shape[-1] for state in states.values()),
        bias=terms.bias.item(),
        jitter=terms.jitter.item(),
        logit=terms.logit.item(),
        residual=terms.residual.item(),
        grounds=0 if grounds is None else len(grounds),
    )


def cycle_spun_terms(
    model: Explainable,
    x: Tensor,
    states: Mapping[str, Tensor],
    noise: float = 0.0,
    grounds: Tensor | None = None,
) -> CycleSpunTerms:
    """What `local_evidence` says of an image, of images (N, C, *size); grounds (K, N, C, *size)."""
    maps, biases, odds, pending = torch.zeros_like(x[:, 0]), [], [], list(copies(x, noise))
    turns = [] if grounds is None else _in_turn(grounds, noise)
    for first in range(0, len(pending), AT_ONCE):
        some = pending[first : first + AT_ONCE]
        batch = torch.cat([copy for _, copy in some])
        ground = torch.cat(turns[first : first + AT_ONCE]) if turns else None
        terms, bias, _ = local_terms(model, batch, states, ground)
        for (move, _), part in zip(some, terms.split(len(x)), strict=True):
            maps = maps + moved_back(part, move)
        biases.append(bias.view(-1, len(x)))
        with torch.no_grad():
            odds.append(log_odds(model, batch).view(-1, len(x)))
    with torch.no_grad():
        logit = log_odds(model, x)
    maps, bias = maps / len(pending), torch.cat(biases).mean(0)
    jitter = logit - torch.cat(odds).mean(0)
    residual = (maps.flatten(1).sum(1) + bias + jitter - logit).abs()
    return CycleSpunTerms(maps, bias, jitter, logit, residual)


def _in_turn(grounds: Tensor, noise: float) -> list[Tensor]:
    """Of each copy the ground (N, C, *size) it is told against, moved and in noise as it is."""
    spun = copies(grounds.flatten(0, 1), noise)
    return [each.view_as(grounds)[k % len(grounds)] for k, (_, each) in enumerate(spun)]


@torch.no_grad()
def checked(model: Explainable, x: Tensor, local: LocalEvidence, ground: Tensor) -> LocalEvidence:
    """`local`, of one image `x` (1, C, *size), with its check.

    The CHECKED share of the pixels where most speaks for the class called (`LocalEvidence.placed`)
    is replaced by those of `ground` (C, *size): the image as it might be, or the mean image of the
    class compared with. Edges are soft, since a hard one would be a finding by itself. Then the
    same shape is moved round the image by quarters of each of the last two axes. The map says what
    counted; a change of the image says whether it counts. What any other place would do as well is
    not claimed.
    """
    sign = 1.0 if local.logit >= model.decision_logit.item() else -1.0
    count = max(1, round(CHECKED * local.locations.size))
    inside = True if local.region is None else local.region
    values = np.where(inside, local.placed(sign), -np.inf)
    strongest = (values >= np.partition(values, -count, None)[-count]) & inside
    soft = np.clip(SHARPENED * gaussian_filter(strongest.astype(float), FEATHER, mode="wrap"), 0, 1)
    shape, (height, width) = torch.from_numpy(soft).to(x), values.shape[-2:]
    moves = [
        (i * height // QUARTERS, j * width // QUARTERS)
        for i in range(QUARTERS)
        for j in range(QUARTERS)
    ]
    masks = torch.stack([shape.roll(move, (-2, -1)) for move in moves])[:, None]
    replaced = x * (1 - masks) + ground.to(x) * masks
    fall, *elsewhere = (sign * (local.logit - log_odds(model, replaced))).tolist()
    return replace(local, check=LocalCheck(CHECKED, fall, tuple(elsewhere)))


def local_terms(
    model: Explainable, x: Tensor, states: Mapping[str, Tensor], ground: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The maps (N, *size) of images x (N, C, *size) as they are, and the log-odds (N,) of what they
    are told against and of the images.

    No copies are taken; `ground` (N, C, *size) is one of their grounds. Raises ConfigError for a
    depth that the trunk does not have.
    """
    path = steps(model.trunk)
    number = {step.name: k for k, step in enumerate(path)}
    missing = sorted(set(states) - set(number))
    if missing or not states:
        raise ConfigError(
            "local evidence: expected names of depths of this trunk, got "
            f"{', '.join(missing) or 'none'}; take them from medinv.models.depths.steps"
        )
    images = [x] if ground is None else [ground, (ground + x) / 2, x]
    stood = [_onwards(path, image) for image in images]
    by_depth, biases = list[Tensor](), list[Tensor]()
    for name, state in states.items():
        k = number[name]
        way = [one[k + 1 :] for one in stood]
        if ground is None:
            way.insert(0, _onwards(path[k + 1 :], state.to(x).expand_as(way[0][0])))
        pieces = torch.stack([_terms(model, path[k + 1 :], *both) for both in pairwise(way)])
        by_depth.append(_spread(pieces.sum((0, 2)), x.shape[2:]))
        biases.append(decision(model, way[0][-1]).detach())
    maps = torch.stack(by_depth).mean(0)
    if ground is not None:
        maps = _drawn(maps, (x - ground).abs().mean(1))
    return maps, torch.stack(biases).mean(0), decision(model, stood[-1][-1]).detach()


@torch.no_grad()
def _onwards(path: tuple[Step, ...], state: Tensor) -> list[Tensor]:
    """A state, and what stands after each of the steps that it goes on through."""
    return [state, *(one.here for one in run(path, state))]


def _terms(
    model: Explainable, path: tuple[Step, ...], there: list[Tensor], here: list[Tensor]
) -> Tensor:
    """What the log-odds of two images differ by, place by place: those of `here` less `there`.

    there, here: what stands before `path`, (N, C, *size), and after each of its steps; the terms
    are of the first. Between both the network is an affine map (`affine.freeze`).
    """
    start = there[0].clone().requires_grad_()
    u = start
    for step, before, ground in zip(path, here[:-1], there[:-1], strict=True):
        with torch.no_grad():
            between = freeze(step.layer, before, ground)
        u = between(u) if step.kept is None else between(u)[:, : step.kept]
    (slope,) = torch.autograd.grad(decision(model, u).sum(), start)
    return slope * (here[0] - there[0])


def _drawn(maps: Tensor, far: Tensor) -> Tensor:
    """Maps (N, *size) drawn to where images are `far` (N, *size) from their ground.

    What stands at a pixel goes to those around it in proportion to w, the distance there: with G a
    Gaussian average, which is its own adjoint, w G(map / G(w)), whose sum is that of the map. A
    pixel that is as there cannot have brought anything about.
    """
    w = _averaged(far, NEAR) + NONE
    return w * _averaged(maps / _averaged(w, AROUND), AROUND)


def _averaged(maps: Tensor, deviation: float) -> Tensor:
    deviations = [0.0, *(deviation * side for side in maps.shape[1:])]
    return torch.from_numpy(gaussian_filter(maps.detach().cpu().numpy(), deviations)).to(maps)


def _spread(terms: Tensor, size: torch.Size) -> Tensor:
    """(N, *coarse) to (N, *size) with the sum kept: the adjoint of averages that overlap."""
    factor = size[-1] // terms.shape[-1]
    if factor == 1:
        return terms
    image = terms.new_zeros(len(terms), 1, *size, requires_grad=True)
    width, margin = 2 * (factor // 2) + 1, factor // 2
    if len(size) == 2:
        averages = F.avg_pool2d(image, width, 1, margin, count_include_pad=False)
        pooled = F.adaptive_avg_pool2d(averages, (terms.shape[1], terms.shape[2]))
    else:
        averages = F.avg_pool3d(image, width, 1, margin, count_include_pad=False)
        pooled = F.adaptive_avg_pool3d(averages, (terms.shape[1], terms.shape[2], terms.shape[3]))
    return torch.autograd.grad(pooled, image, terms[:, None])[0][:, 0]
