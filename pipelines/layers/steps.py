"""A step of training with the penalty that keeps kernels invertible, over that of the plain twin.

Stacks of convolution, batch normalisation and leaky ReLU on a batch of 16; steps in turn, medians
of ratios of processor time. The twin pads as its stack does.
"""

import statistics
from functools import partial

import torch
from torch import nn

from medinv.layers import Chain, InvertibleBatchNorm, InvertibleConv2d, LeakyReLU
from medinv.models.penalty import towards_isometry
from pipelines.layers.kept import Kept
from pipelines.layers.single import clock
from pipelines.record import Table

PADDINGS, RATES = ("circular", "zeros"), (0.0, 1e-3)
CASES = ((12, 16, 20), (64, 16, 6))  # channels, side, convolutions


def _twin(channels: int, depth: int, padding: str) -> nn.Module:
    conv = partial(nn.Conv2d, channels, channels, 3, padding=1, padding_mode=padding)
    blocks = [(conv(), nn.BatchNorm2d(channels), nn.LeakyReLU(0.7)) for _ in range(depth)]
    return nn.Sequential(*[layer for block in blocks for layer in block])


def _ours(channels: int, depth: int, padding: str) -> nn.Module:
    blocks = [
        (
            InvertibleConv2d(channels, padding=padding, bias=True),
            InvertibleBatchNorm(channels),
            LeakyReLU(0.7),
        )
        for _ in range(depth)
    ]
    return Chain(*[layer for block in blocks for layer in block])


def _step(
    net: nn.Module, optimiser: torch.optim.Optimizer, x: torch.Tensor, rate: float | None
) -> None:
    optimiser.zero_grad()
    net(x).square().mean().backward()
    optimiser.step()
    if rate:
        towards_isometry(net, rate)


def _ratios(channels: int, side: int, depth: int, repeats: int) -> list[str]:
    """Steps over the twin's of each padding, without and with the penalty."""
    torch.manual_seed(0)
    x = torch.randn(16, channels, side, side)
    nets: dict[tuple[str, float | None], nn.Module] = {}
    for padding in PADDINGS:
        nets[padding, None] = _twin(channels, depth, padding)
        for rate in RATES:
            nets[padding, rate] = _ours(channels, depth, padding)
    optimisers = {key: torch.optim.SGD(net.parameters(), lr=1e-3) for key, net in nets.items()}
    times: dict[tuple[str, float | None], list[float]] = {key: [] for key in nets}
    for _ in range(repeats + 2):
        for key, net in nets.items():
            times[key].append(clock(partial(_step, net, optimisers[key], x, key[1])))
    medians = [
        statistics.median(
            b / a for a, b in zip(times[p, None][2:], times[p, rate][2:], strict=True)
        )
        for p in PADDINGS
        for rate in RATES
    ]
    return [f"{ratio:.2f}" for ratio in medians]


def table(repeats: int, kept: Kept) -> Table:
    """Ratios of each padding, without and with the penalty."""
    rows = []
    for case in CASES:
        ratios = kept.row(f"step, padded alike {case} {repeats}", partial(_ratios, *case, repeats))
        channels, side, depth = case
        for i, padding in enumerate(PADDINGS):
            name = f"{padding}, {channels} channels of {side} x {side}, {depth} convolutions"
            rows.append([name, *ratios[2 * i : 2 * i + 2]])
    columns = ("stack", "step / twin", "step with penalty / twin")
    return Table("A step of training", columns, rows, __doc__.split("\n\n")[1])
