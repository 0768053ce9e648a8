"""What the factors of an inverse hold, and what making them takes, told before either is done."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medinv.errors import ConfigError
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg.cross import Cross
from medinv.layers.linalg.dense_border import border_unknowns
from medinv.layers.linalg.edges import are_worth, entries
from medinv.layers.linalg.fourier import half
from medinv.layers.linalg.response import beginning

DIRECT = 8192  # unknowns factorised densely at most: 0.5 GB of LU factors
CROSSING = 4096  # rows at most of the matrix factorised where rows and columns cross
FAR = 3e-8  # share of the response left out of a border that is solved again
COPIES = 4  # of the inverse symbol in complex128 while it is made


@dataclass(frozen=True)
class FactorMemory:
    """Bytes: `held` from the first inverse at a size on, until four other sizes, `making` before.

    Without the images themselves, and without what only derivatives ask for (at most as much
    again). How far the inverse's response reaches, on which the coupling of rows and columns
    depends where padding is not circular, is judged from its beginning.
    """

    held: int
    making: int

    def __str__(self) -> str:
        return f"{self.making / 2**20:,.0f} MB to make and {self.held / 2**20:,.0f} MB to keep"


def factor_memory(
    weight: Tensor, size: Sequence[int], padding: str, groups: int = 1
) -> FactorMemory:
    """What the inverse of a kernel (C, C / groups, *k) keeps for images of `size`."""
    kernel, width = weight.shape[2:], weight.shape[1]
    padding, real = pads.effective(kernel, padding), 8 if weight.dtype == torch.float64 else 4
    if padding == "circular":
        size = [1] if max(kernel) == 1 else size
        return _circulant(size, groups, width, 2 * real)
    if len(size) != 2:
        order = min(border_unknowns(width, size, kernel, padding), DIRECT)
        torus = [n + k // 2 for n, k in zip(size, kernel, strict=True)]
        around, dense = _circulant(torus, groups, width, 16), 8 * groups * order**2
        return FactorMemory(around.held + dense, around.making + 4 * dense)
    cross = Cross.of(size, kernel, padding, 0)
    around = _circulant(cross.torus, groups, width, 2 * real)
    lines = (cross.rows, cross.columns)
    along = sum(half(t.period) * (len(t.sources) * width) ** 2 for t in lines) * groups * 8
    begun = beginning(weight, groups)
    far = 10**9 if begun is None else max(begun.expected(FAR)) + cross.inside
    near = [len(t.sources) * min(t.period, len(t.sources) + 2 * far) for t in lines]
    corner = groups * min(max(near) * width, CROSSING) ** 2
    edges = 8 * groups * entries(cross, far, width) if are_worth(cross, far) else 0
    # in float64 the transpose is judged, too, and stays; the border is solved in float32
    held = around.held * (real // 4) + along + 3 * 4 * corner + edges
    return FactorMemory(held, around.making + 8 * along + 9 * 8 * corner + 4 * edges)


def _circulant(torus: Sequence[int], groups: int, width: int, bytes_each: int) -> FactorMemory:
    entries = half(torus[0]) * math.prod(torus[1:]) * groups * width**2
    return FactorMemory(entries * bytes_each, entries * (COPIES * 16 + bytes_each))


def check_fits(weight: Tensor, size: Sequence[int], padding: str, groups: int) -> None:
    """Raise ConfigError where making the factors would take more memory than there is."""
    needed, free = factor_memory(weight, size, padding, groups), free_memory(weight.device)
    if free is not None and needed.making > free:
        what = f"the inverse of {weight.shape[0]} channels on {'x'.join(map(str, size))} images"
        raise ConfigError(
            f"{what} with {padding} padding takes {needed}; {free / 2**20:,.0f} MB are free: use"
            " smaller images, fewer channels or more groups"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be had on a device; None where the system does not tell (Linux does)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    told = Path("/proc/meminfo")
    if device.type != "cpu" or not told.is_file():
        return None
    lines = dict(line.split(":") for line in told.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    group = [Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current")]
    if not all(path.is_file() for path in group):
        return free
    limit, used = (path.read_text().strip() for path in group)
    return free if limit == "max" else min(free, max(0, int(limit) - int(used)))
