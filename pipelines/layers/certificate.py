"""The certificate of one image by a network that ships, over a pass of its features in float32.

A ramp of grey levels, decoded from its features and compared: in float32 where the layers' spectra
say that it will do and it does, else in float64. Features are those that classify, in float64:
the last column counts them too. Medians of processor time, first calls left out.
"""

import statistics
from functools import partial

import torch

from medinv.models.precision import Decoder
from medinv.models.store import load_invertible
from pipelines.layers.kept import Kept
from pipelines.layers.single import clock
from pipelines.record import Table

NAMES = ("chest-xray", "phantom-opacity")
COLUMNS = (
    "network",
    "images",
    "decoded in",
    "features ms, float32",
    "decoding / that",
    "with features",
)


@torch.no_grad()
def _measured(name: str, repeats: int) -> list[str]:
    network, single = load_invertible(name), load_invertible(name, dtype=torch.float32)
    shape = network.image_shape
    ramp = torch.linspace(0, 255, shape[-1]).round().expand(1, *shape).contiguous()
    wide, decode = ramp.double(), Decoder(network)
    single.features(ramp)
    z = network.features(wide)
    (told,) = decode(z, wide)
    spent = [
        (
            clock(lambda: single.features(ramp), 3),
            clock(lambda: decode(z, wide)),
            clock(lambda: network.features(wide)),
        )
        for _ in range(repeats)
    ]
    forward = statistics.median(a for a, *_ in spent)
    ratios = [statistics.median(b / a for a, b, _ in spent)]
    ratios.append(statistics.median((b + c) / a for a, b, c in spent))
    size = " x ".join(map(str, shape))
    return [name, size, told.dtype, f"{1e3 * forward:.1f}", *(f"{r:.2f}" for r in ratios)]


def table(repeats: int, kept: Kept) -> Table:
    """Networks of a size each."""
    rows = [
        kept.row(f"certificate {name} {repeats}", partial(_measured, name, repeats))
        for name in NAMES
    ]
    return Table("The certificate of one image", COLUMNS, rows, __doc__.split("\n\n")[1])
