"""What `stacks` measures of one stack.

Errors in grey levels, times in milliseconds, memory in MB.
"""

import ctypes
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.layers import Chain, FrozenNorm, IntegerCoupling, Reversible, Squeeze, certify
from pipelines.layers import peers

BATCH, CHANNELS = 16, 12


def unit(stack: nn.Module, x: Tensor, bits: int) -> Tensor:
    """Grey levels as the stack takes them: integers for the integer coupling,
    else multiples of a power of two around zero (no rounding).
    """
    return Squeeze(2)(x if is_integer(stack) else (x - 2 ** (bits - 1)) / 2 ** (bits - 2))


def levels(stack: nn.Module, x: Tensor, bits: int) -> Tensor:
    x = Squeeze(2).inverse(x)
    return x if is_integer(stack) else x * 2 ** (bits - 2) + 2 ** (bits - 1)


def is_integer(stack: nn.Module) -> bool:
    return any(isinstance(module, IntegerCoupling) for module in stack.modules())


def training_step(
    stack: nn.Module,
    head: nn.Module,
    optimiser: torch.optim.Optimizer,
    penalty: float,
    x: Tensor,
    y: Tensor,
) -> float:
    start = time.perf_counter()
    optimiser.zero_grad()
    features = stack(unit(stack, x, 8))
    loss = F.cross_entropy(head(features.mean((2, 3)) / (64 if is_integer(stack) else 1)), y)
    (loss + penalty * peers.isometry_penalty(stack) if penalty else loss).backward()
    nn.utils.clip_grad_norm_(stack.parameters(), 1.0)
    optimiser.step()
    return time.perf_counter() - start


def train(stack: nn.Module, depth: int, images: Tensor, labels: Tensor, steps: int) -> dict:
    """Trains the stack and its plain twin, step by step in turn; the ratio of their steps,
    and the memory that a step takes above what lay there.
    """
    pick = torch.randint(0, len(images), (steps, BATCH), generator=torch.Generator().manual_seed(0))
    if hasattr(stack, "initialise"):
        stack.initialise(unit(stack, images[pick[0]].float(), 8))
    rows = []
    for model, penalty in ((stack, 0.05), (peers.plain(depth, CHANNELS), 0.0)):
        head = nn.Linear(CHANNELS, 10)
        rows.append(
            (
                model,
                head,
                torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-3),
                penalty,
            )
        )
    times = []
    for chosen in pick:
        x, y = images[chosen].float(), labels[chosen]
        times.append([training_step(*row, x, y) for row in rows])
    peak, plain_peak = (peak_memory(lambda row=row: training_step(*row, x, y)) for row in rows)
    times = times[2:] or times
    ratio = statistics.median(a / b for a, b in times)
    return {
        "step_ms": 1e3 * statistics.median(a for a, _ in times),
        "step_ratio": ratio,
        "peak_mb": peak,
        "plain_peak_mb": plain_peak,
    }


def peak_memory(action: Callable[[], object]) -> float | None:
    """Growth of the resident set while `action` runs, from the kernel's own high-water mark;
    None where the system keeps none (Linux does).
    """
    try:
        ctypes.CDLL(None).malloc_trim(
            0
        )  # what earlier steps freed goes back first, or it would hide this one's need
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        action()
        return (_status("VmHWM") - before) / 1024
    except (OSError, AttributeError):
        return None


def _status(field: str) -> int:
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(field)
    )
    return int(line.split()[1])


@torch.no_grad()
def side_by_side(stack: nn.Module, x: Tensor, repeats: int) -> dict:
    """Forward and inverse in turn; the first inverse,
    which makes what later ones keep, is told apart.
    """
    pairs = []
    for _index in range(repeats + 1):
        start = time.perf_counter()
        y = stack(x)
        middle = time.perf_counter()
        stack.inverse(y)
        pairs.append((middle - start, time.perf_counter() - middle))
    first, pairs = pairs[0], pairs[1:]
    times = {
        "forward_ms": 1e3 * statistics.median(a for a, _ in pairs),
        "inverse_ms": 1e3 * statistics.median(b for _, b in pairs),
    }
    return {
        **times,
        "inverse_over_forward": statistics.median(b / a for a, b in pairs),
        "first_inverse_ms": 1e3 * first[1],
    }


def at_bits(stack: nn.Module, images: Tensor, bits: int, dtype: torch.dtype) -> Tensor:
    """The images with so many bits, and the integer couplings of the stack told of it."""
    x = images.to(dtype)
    if bits == 16:
        x = x * 256 + torch.randint(0, 256, x.shape, generator=torch.Generator().manual_seed(1)).to(
            dtype
        )
    for module in stack.modules():
        if isinstance(module, IntegerCoupling):
            module.bits = bits
    return x


def predicted(stack: nn.Module, images: Tensor, bits: int, dtype: torch.dtype) -> dict:
    """The largest error that `certify` predicts for our own stacks, on two images;
    nothing for the others.
    """
    if not isinstance(stack, (Chain, Reversible)):
        return {f"predicted_{bits}": None}
    scale = (
        []
        if is_integer(stack)
        else [FrozenNorm([2 ** (bits - 1)] * CHANNELS, [2 ** (bits - 2)] * CHANNELS).to(dtype)]
    )
    certificate = certify(
        Chain(Squeeze(2), *scale, *stack.layers),
        at_bits(stack, images[:2], bits, dtype),
        bits,
        iterations=1,
    )
    return {f"predicted_{bits}": certificate.predicted_error.max().item()}


@torch.no_grad()
def exactness(stack: nn.Module, images: Tensor, bits: int, dtype: torch.dtype) -> dict:
    """Largest error in grey levels and whether every value came back;
    16-bit images are the 8-bit ones with a random lower byte.
    """
    x = at_bits(stack, images, bits, dtype)
    back = levels(stack, stack.inverse(stack(unit(stack, x, bits))), bits)
    return {
        f"error_{bits}": (back - x).abs().max().item(),
        f"exact_{bits}": bool(torch.equal(back.round(), x)),
    }


def log_det_error(stack: nn.Module, images: Tensor) -> float | str:
    """Against slogdet of the autograd Jacobian in float64, on one 3x4x4 corner."""
    x = unit(stack, images[:1, :, 8:12, 8:12].double(), 8)
    try:
        claimed = stack.log_det(x)[0].item()
    except NotImplementedError as reason:
        return f"none: {reason}"
    try:
        jacobian = torch.autograd.functional.jacobian(lambda v: stack(v).flatten(), x).reshape(
            x.numel(), x.numel()
        )
    except RuntimeError as reason:
        return f"no Jacobian: {str(reason)[:80]}"
    return abs(torch.linalg.slogdet(jacobian)[1].item() - claimed)
