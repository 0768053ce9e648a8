"""One layer by itself: the inverse, its first call, and log_det with its backward pass,
over the forward pass.

Medians of processor time, ratios of times measured in turn within one process, weights as
initialised and stirred. Batch 16, 4 for the two largest images and for volumes.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from medinv.layers import AdditiveCoupling, InvertibleConv2d, InvertibleConv3d
from medinv.layers.conv import InvertibleConv
from pipelines.layers import peers
from pipelines.layers.kept import Kept
from pipelines.layers.papers import IResNetBlock
from pipelines.record import Table

SIZES = ((12, 16, 16), (64, 32, 16), (64, 56, 16), (128, 64, 4), (32, 224, 4))
OURS: dict[str, Callable[[int], nn.Module]] = {
    f"ours, conv3 {padding}": lambda c, p=padding: InvertibleConv2d(c, padding=p)
    for padding in ("circular", "zeros", "reflect", "replicate")
}
PEERS: dict[str, Callable[[int], nn.Module]] = {
    "i-ResNet block, from the paper": IResNetBlock,
    "FrEIA InvAutoConv2D (not exact)": lambda c: peers.freia_inv_auto(1, c)[0],
    "nflows OneByOneConvolution": lambda c: peers.nflows_conv1(1, c)[0],
    "normflows Invertible1x1Conv": lambda c: peers.normflows_conv1(1, c)[0],
    "zuko RotationTransform (1x1, orthogonal)": lambda c: peers.zuko_rotation(1, c)[0],
    "FrEIA AllInOneBlock (coupling)": lambda c: peers.freia_all_in_one(1, c)[0],
    "memcnn AdditiveCoupling": lambda c: peers.memcnn_additive(1, c)[0],
    "ours, additive coupling": lambda c: AdditiveCoupling(c, peers.HIDDEN),
}
OTHERS: dict[str, tuple[Callable[[int], nn.Module], tuple[int, ...]]] = {
    "conv1": (lambda c: InvertibleConv2d(c, 1), (64, 32, 32, 16)),
    "conv5 zeros": (lambda c: InvertibleConv2d(c, 5, padding="zeros"), (64, 32, 32, 16)),
    "conv3 zeros, 8 groups": (
        lambda c: InvertibleConv2d(c, padding="zeros", groups=8),
        (64, 32, 32, 16),
    ),
    "conv3 zeros, depthwise": (
        lambda c: InvertibleConv2d(c, padding="zeros", groups=c),
        (64, 32, 32, 16),
    ),
    "conv3 circular, volumes": (lambda c: InvertibleConv3d(c), (8, 32, 32, 32, 4)),
    "conv3 zeros, volumes": (lambda c: InvertibleConv3d(c, padding="zeros"), (4, 12, 12, 12, 4)),
}
COLUMNS = (
    "layer",
    "images",
    "dtype",
    "forward ms",
    "inverse / forward",
    "first inverse s",
    "error",
    "log_det with backward / forward",
)


def clock(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of processor time, each of so many times."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def measured(
    name: str, make: Callable[[int], nn.Module], case: tuple[int, ...], dtype: torch.dtype, n: int
) -> list[str]:
    """One row, for a case (channels, *size, batch), by so many repeats."""
    channels, *size, batch = case
    label = [name, " x ".join(map(str, case[:-1])), str(dtype).removeprefix("torch.")]
    torch.manual_seed(0)
    try:
        layer = make(channels).to(dtype).eval()
    except ImportError as reason:
        return [*label, f"not measured: {reason}", *["-"] * 4]
    x = torch.randn(batch, channels, *size, dtype=dtype)
    if isinstance(layer, InvertibleConv):
        with torch.no_grad():
            width = layer.channels // layer.groups
            stir = 0.07 * (9 / layer.weight[0, 0].numel() / width) ** 0.5
            layer.weight.add_(stir * torch.randn_like(layer.weight))
    with torch.no_grad():
        y = layer(x)
        first = clock(lambda: layer.inverse(y))
        times = max(1, 4_000_000 // x.numel())  # small ones several in a go
        pairs = [
            (clock(lambda: layer(x), times), clock(lambda: layer.inverse(y), times))
            for _ in range(n)
        ]
        error = (layer.inverse(y) - x).abs().max().item()
    forward = statistics.median(a for a, _ in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    told = [f"{1e3 * forward:.2f}", f"{ratio:.2f}", f"{first:.2f}", f"{error:.0e}"]
    volume = "-"
    if isinstance(layer, InvertibleConv):
        layer.log_det(x).sum().backward()
        spent = [clock(lambda: layer.log_det(x).sum().backward()) for _ in range(3)]
        volume = f"{statistics.median(spent) / forward:.1f}"
    return [*label, *told, volume]


def table(sizes: int, repeats: int, names: str, kept: Kept) -> Table:
    """Every layer whose name contains `names` at the first so many sizes, then other kernels."""
    cases = [
        (name, make, (channels, side, side, batch))
        for channels, side, batch in SIZES[:sizes]
        for name, make in (OURS | PEERS).items()
        if name in OURS or side < 40
    ]
    cases += [(f"ours, {name}", *how) for name, how in OTHERS.items() if sizes > 1]
    rows = [
        kept.row(f"single {name} {case} {dtype} {repeats}", partial(measured, *one, dtype, repeats))
        for one in cases
        for name, _, case in [one]
        if names in name
        for dtype in (torch.float32, torch.float64)
    ]
    rows = [[f"{row[0]}, {row[1]}, {row[2]}", *row[3:]] for row in rows]
    return Table("One layer by itself", (COLUMNS[0], *COLUMNS[3:]), rows, __doc__.split("\n\n")[1])
