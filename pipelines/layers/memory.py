"""Peak memory and time of a training step against depth: activations stored (Chain)
and recomputed (Reversible), and their gradients compared.

    python -m pipelines.layers.memory --out DIR [--quick]

Writes reversible.md and reversible.json. Additive couplings, or 3x3 convolutions with leaky ReLU,
on a batch of 16 x 12 x 32 x 32 in float32; each cell in a fresh process; memory is the growth of
the resident set over one step, as the kernel's high-water mark tells it (Linux).
"""

import argparse
import copy
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from medinv.layers import (
    AdditiveCoupling,
    Chain,
    ChannelFlip,
    Invertible,
    InvertibleConv2d,
    LeakyReLU,
    Reversible,
)

BLOCKS = {
    "additive coupling": lambda: (AdditiveCoupling(12, 32), ChannelFlip()),
    "conv3 + leaky 0.7": lambda: (InvertibleConv2d(12), LeakyReLU(0.7)),
}


def build(block: str, depth: int) -> Chain:
    torch.manual_seed(0)
    chain = Chain(*[layer for _ in range(depth) for layer in BLOCKS[block]()])
    with torch.no_grad():
        for name, parameter in chain.named_parameters():
            parameter.add_((0.02 if "net" in name else 0.0) * torch.randn_like(parameter))
    return chain


def gradients(network: Invertible, x: Tensor) -> list[Tensor]:
    y = network(x)
    return list(torch.autograd.grad(y.square().mean() + y.sin().mean(), list(network.parameters())))


def measure(block: str, depth: int, way: str) -> dict:
    """Memory and time of one step the `way` "stored" or "recomputed";
    the latter also tells how far its gradients are from autograd's.
    """
    from pipelines.layers.measures import peak_memory

    chain, x = (
        build(block, depth),
        torch.randn(16, 12, 32, 32, generator=torch.Generator().manual_seed(1)),
    )
    network = Reversible(*copy.deepcopy(chain)) if way == "recomputed" else chain
    gradients(network, x[:1])
    peak = peak_memory(lambda: gradients(network, x))
    start = time.perf_counter()
    ours = gradients(network, x)
    seconds = time.perf_counter() - start
    row = {"block": block, "depth": depth, "way": way, "peak_mb": peak, "seconds": seconds}
    if way == "recomputed":
        row["float32"] = largest_difference(ours, gradients(chain, x))
        row["float64"] = largest_difference(
            gradients(network.double(), x.double()), gradients(chain.double(), x.double())
        )
    return row


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Over all weights, relative to the largest gradient of the same tensor."""
    pairs = zip(ours, theirs, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def table(rows: list[dict]) -> str:
    lines = [
        "| block | depth | stored, MB | recomputed, MB | stored, s | recomputed, s |"
        " gradients apart, float32 | float64 |"
    ]
    lines.append("|" + "---|" * 8)
    for stored, again in zip(rows[::2], rows[1::2], strict=True):
        figures = [f"{row['peak_mb']:.0f}" for row in (stored, again)] + [
            f"{row['seconds']:.2f}" for row in (stored, again)
        ]
        figures += [f"{again[dtype]:.1e}" for dtype in ("float32", "float64")]
        lines.append("| " + " | ".join([stored["block"], str(stored["depth"]), *figures]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="depths 10 and 50")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        block, depth, way = arguments.cell
        print(json.dumps(measure(block, int(depth), way)))
        return
    rows = []
    for block in BLOCKS:
        for depth in (10, 50) if arguments.quick else (10, 20, 50, 100, 200):
            for way in ("stored", "recomputed"):
                command = [
                    sys.executable,
                    "-m",
                    "pipelines.layers.memory",
                    "--out",
                    str(arguments.out),
                    "--cell",
                    block,
                    str(depth),
                    way,
                ]
                rows.append(
                    json.loads(
                        subprocess.run(
                            command,
                            capture_output=True,
                            text=True,
                            check=True,
                            cwd=Path(__file__).parents[2],
                        ).stdout
                    )
                )
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("reversible.json", json.dumps(rows, indent=1)),
        ("reversible.md", table(rows)),
    ):
        partial = arguments.out / (name + ".part")
        partial.write_text(text)
        partial.replace(arguments.out / name)
    print(table(rows))


if __name__ == "__main__":
    main()
