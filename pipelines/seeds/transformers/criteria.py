"""Two criteria on the matrices that meet an image first, and the start that fulfils both.

W (d, p) are the weights of the patch embedding, C (p, p) the covariance of training patches, P (n,
d) the positions. Stated before the runs that judge them:
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.seeds.transformers.networks import GRID, Transformer

HELD, LOUD, SMOOTH, EVEN, FEWER, LOST = 0.99, 0.5, 0.9, 0.9, 0.3, 0.5
STATEMENT = f"""\
(A) Evenness of the patch embedding: the participation ratio tr(M)^2 / tr(M^2) of M = W C W^T as a
share of the number k of leading principal directions that hold {HELD:.0%} of the variance of
training patches (or of the tokens' width, if that is less). Patches are mostly brightness, so that
a random W is uneven. A good start has at least {EVEN:g}. Its rule: the rows of W are the k leading
directions, each divided by its deviation, turned by random orthonormal columns and scaled so that
tokens have as large a root mean square as those of the plain start.
(B) Positions that are smooth and can be heard: at least {SMOOTH:g} of the energy of P, its mean
over places taken off, in the frequencies u + v of at most half the grid's side (cosine transform),
and a root mean square of 0.25 to 1 of that of the tokens; the plain start has 0.02. Its rule:
random normal combinations of those frequencies, {LOUD:g} of the tokens' root mean square.
Prediction: from the start that fulfils both, at least three of five transformers reach the
accuracy that the plain start reaches at its end in {FEWER:.0%} fewer steps than the plain start
itself (median over five seeds), and end with no less accuracy (a mean difference of no worse than
-{LOST:g} points). Accuracies are means of three evaluations in a row; the last of the plain start
is the accuracy asked for, the first evaluation at which either start has it counts, and one that
never has it counts as more than all steps. All else is the same: data, order, weights, rate."""


@dataclass(frozen=True)
class Patches:
    """Principal directions (p, p) in columns, largest first, and variances (p,) of patches."""

    directions: Tensor
    variances: Tensor

    @property
    def kept(self) -> int:
        """How many leading ones hold 99 % of the variance."""
        return int((self.variances.cumsum(0) < HELD * self.variances.sum()).sum()) + 1

    @property
    def covariance(self) -> Tensor:
        return self.directions * self.variances @ self.directions.T


def patches_of(x: Tensor, layer: nn.Conv2d) -> Patches:
    """Of images (N, C, H, W), as a convolution cuts them."""
    assert isinstance(layer.padding, tuple)
    cut = F.unfold(x, layer.kernel_size, padding=layer.padding, stride=layer.stride)
    rows = cut.mT.flatten(0, 1).double()
    covariance = torch.cov(rows.T)
    variances, directions = torch.linalg.eigh(covariance)
    return Patches(directions.flip(1), variances.flip(0).clamp_min(0))


def evenness(weight: Tensor, patches: Patches) -> float:
    """Criterion A of weights (d, C, h, w)."""
    rows = weight.detach().double().flatten(1)
    moment = rows @ patches.covariance @ rows.T
    ratio = moment.trace() ** 2 / moment.square().sum()
    return (ratio / min(patches.kept, len(rows))).item()


def alignment(weight: Tensor, patches: Patches) -> float:
    """The share of the energy of rows in the k leading directions."""
    turned = weight.detach().double().flatten(1) @ patches.directions
    return (turned[:, : patches.kept].square().sum() / turned.square().sum()).item()


def stable_rank(weight: Tensor) -> float:
    """|W|_F^2 / |W|_2^2 of weights by rows."""
    rows = weight.detach().double().flatten(1)
    return (rows.square().sum() / torch.linalg.matrix_norm(rows, 2) ** 2).item()


def frequencies() -> tuple[Tensor, Tensor]:
    """The orthonormal cosine transform (16, 16) of the grid, rows by frequency, and its u + v."""
    i = torch.arange(GRID, dtype=torch.float64)
    line = torch.cos(torch.pi * i[:, None] * (i + 0.5) / GRID)
    line = line / line.norm(dim=1, keepdim=True)
    return torch.kron(line, line), (i[:, None] + i).flatten()


def smoothness(positions: Tensor) -> float:
    """Criterion B, first half, of positions (1, 16, d)."""
    basis, order = frequencies()
    energy = (basis @ positions.detach()[0].double()).square().sum(1)
    return (energy[(order > 0) & (order <= GRID / 2)].sum() / energy[order > 0].sum()).item()


def loudness(model: Transformer, x: Tensor) -> float:
    """Criterion B, second half: positions to tokens of images."""
    return (_size(model.positions) / _size(model.tokens(x))).item()


@torch.no_grad()
def _size(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()


@torch.no_grad()
def plain(model: Transformer, seed: int) -> None:
    """The start of the vision transformer: Xavier's, of patches by fan in, positions of 0.02."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
    layer = model.patches()
    layer.weight.normal_(0, layer.weight[0].numel() ** -0.5, generator=generator)
    assert layer.bias is not None
    layer.bias.zero_()
    for name, each in model.named_parameters():
        if name in ("positions", "readers", "masked") or name.endswith("attention.bias"):
            each.normal_(0, 0.02, generator=generator)


@torch.no_grad()
def even(model: Transformer, x: Tensor, seed: int) -> None:
    """The rule of criterion A, in place."""
    layer = model.patches()
    size = _size(F.conv2d(x, layer.weight, None, layer.stride, layer.padding))
    patches = patches_of(x, layer)
    width, count = len(layer.weight), min(patches.kept, len(layer.weight))
    turn = np.random.default_rng(seed).standard_normal((width, count))
    turn = torch.from_numpy(np.linalg.qr(turn)[0])
    rows = turn @ (patches.directions[:, :count] / patches.variances[:count].sqrt()).T
    layer.weight.copy_(rows.view_as(layer.weight))
    layer.weight.mul_(size / _size(F.conv2d(x, layer.weight, None, layer.stride, layer.padding)))


@torch.no_grad()
def smooth(model: Transformer, x: Tensor, seed: int) -> None:
    """The rule of criterion B, in place."""
    basis, order = frequencies()
    chosen = basis[(order > 0) & (order <= GRID / 2)]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(
        len(chosen), model.positions.shape[2], generator=generator, dtype=torch.float64
    )
    places = chosen.T @ drawn
    model.positions.copy_(places * (LOUD * _size(model.tokens(x)) / _size(places)))


def started(model: Transformer, start: str, x: Tensor, seed: int) -> Transformer:
    """From the plain start, by neither rule, one of them, or both; images (N, C, 16, 16)."""
    plain(model, seed)
    if start in ("A", "both"):
        even(model, x, seed)
    if start in ("B", "both"):
        smooth(model, x, seed)
    return model
