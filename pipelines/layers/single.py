"""One layer by itself: the inverse, its first call, and log_det with its backward pass,
over the forward pass.

Medians of processor time, ratios of times measured in turn within one process, weights as
initialised and stirred. Batch 16, 4 for the two largest images.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from medinv.layers import AdditiveCoupling, InvertibleConv2d
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


def measured(name: str, case: tuple[int, int, int], dtype: torch.dtype, repeats: int) -> list[str]:
    """One row."""
    channels, side, batch = case
    label = [name, f"{channels} x {side} x {side}", str(dtype).removeprefix("torch.")]
    torch.manual_seed(0)
    try:
        layer = (OURS | PEERS)[name](channels).to(dtype).eval()
    except ImportError as reason:
        return [*label, f"not measured: {reason}", *["-"] * 4]
    x = torch.randn(batch, channels, side, side, dtype=dtype)
    if isinstance(layer, InvertibleConv2d):
        with torch.no_grad():
            layer.weight.add_(0.07 * channels**-0.5 * torch.randn_like(layer.weight))
    with torch.no_grad():
        y = layer(x)
        first = clock(lambda: layer.inverse(y))
        times = max(1, 4_000_000 // x.numel())  # small ones several in a go
        pairs = [
            (clock(lambda: layer(x), times), clock(lambda: layer.inverse(y), times))
            for _ in range(repeats)
        ]
        error = (layer.inverse(y) - x).abs().max().item()
    forward = statistics.median(a for a, _ in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    volume = "-"
    if isinstance(layer, InvertibleConv2d) and side < 40:
        layer.log_det(x).sum().backward()
        spent = [clock(lambda: layer.log_det(x).sum().backward()) for _ in range(3)]
        volume = f"{statistics.median(spent) / forward:.1f}"
    told = [f"{1e3 * forward:.2f}", f"{ratio:.2f}", f"{first:.2f}", f"{error:.0e}", volume]
    return [*label, *told]


def table(sizes: int, repeats: int, names: str, kept: Kept) -> Table:
    """Every layer whose name contains `names` at the first so many sizes."""
    cases = [
        (name, case, dtype)
        for case in SIZES[:sizes]
        for name in OURS | PEERS
        if names in name and (name in OURS or case[1] < 40)
        for dtype in (torch.float32, torch.float64)
    ]
    rows = [
        kept.row(f"single {case} {repeats}", partial(measured, *case, repeats)) for case in cases
    ]
    rows = [[f"{row[0]}, {row[1]}, {row[2]}", *row[3:]] for row in rows]
    return Table("One layer by itself", (COLUMNS[0], *COLUMNS[3:]), rows, __doc__.split("\n\n")[1])
