"""Forward and inverse of one spatial layer, beside the blocks that others invert: median times, ratios measured in turn.

    python pipelines/inverse_speed.py --out DIR [--repeats 30]

Writes inverse_speed.md and inverse_speed.json. Batch 16, weights as initialised, what the inverse keeps made before the clock starts.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

import peers
from medinv.layers import InvertibleConv2d
from papers import IResNetBlock

SIZES = [(12, 16), (12, 32), (64, 32)]  # channels, height and width
LAYERS = {
    "ours: conv3 circular": lambda c: InvertibleConv2d(c),
    "ours: conv3 zeros": lambda c: InvertibleConv2d(c, padding="zeros"),
    "ours: conv3 reflect": lambda c: InvertibleConv2d(c, padding="reflect"),
    "i-ResNet block, from the paper": IResNetBlock,
    "FrEIA InvAutoConv2D (not exact)": lambda c: peers.freia_inv_auto(1, c)[0],
    "nflows OneByOneConvolution": lambda c: peers.nflows_conv1(1, c)[0],
}


@torch.no_grad()
def measure(name: str, channels: int, size: int, dtype: torch.dtype, repeats: int) -> dict:
    torch.manual_seed(0)
    row = {
        "layer": name,
        "channels": channels,
        "size": size,
        "dtype": str(dtype).removeprefix("torch."),
    }
    try:
        layer = LAYERS[name](channels)
    except ImportError as reason:
        return {**row, "reason": str(reason)}
    x = torch.randn(16, channels, size, size, dtype=dtype)
    if isinstance(layer, IResNetBlock):
        for _ in range(20):
            layer(x.float())  # power iteration settles
    layer = layer.to(dtype).eval()
    layer.inverse(layer(x))
    pairs = []
    for _ in range(repeats):
        start = time.perf_counter()
        y = layer(x)
        middle = time.perf_counter()
        back = layer.inverse(y)
        pairs.append((middle - start, time.perf_counter() - middle))
    row |= {
        "forward_ms": 1e3 * statistics.median(a for a, _ in pairs),
        "inverse_ms": 1e3 * statistics.median(b for _, b in pairs),
    }
    return {
        **row,
        "ratio": statistics.median(b / a for a, b in pairs),
        "error": (back - x).abs().max().item(),
    }


def table(rows: list[dict]) -> str:
    lines = [
        "| layer | channels | size | dtype | forward ms | inverse ms | inverse / forward | error |",
        "|" + "---|" * 8,
    ]
    for row in rows:
        if "reason" in row:
            cells = [f"not measured: {row['reason']}"]
        else:
            cells = [
                f"{row['forward_ms']:.2f}",
                f"{row['inverse_ms']:.2f}",
                f"{row['ratio']:.2f}",
                f"{row['error']:.1e}",
            ]
        lines.append(
            "| "
            + " | ".join(
                [
                    row["layer"],
                    str(row["channels"]),
                    f"{row['size']}x{row['size']}",
                    row["dtype"],
                    *cells,
                ]
            )
            + " |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    rows = [
        measure(name, *size, dtype, arguments.repeats)
        for size in SIZES
        for name in LAYERS
        for dtype in (torch.float32, torch.float64)
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    about = f"{torch.get_num_threads()} threads, torch {torch.__version__}, batch 16"
    written = {
        "inverse_speed.json": json.dumps({"about": about, "rows": rows}, indent=1),
        "inverse_speed.md": f"{about}\n\n{table(rows)}",
    }
    for name, text in written.items():
        partial = arguments.out / (name + ".part")
        partial.write_text(text)
        partial.replace(arguments.out / name)
    print(about + "\n\n" + table(rows))


if __name__ == "__main__":
    main()
