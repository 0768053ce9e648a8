"""Our invertible layers beside others, after training on real images: speed, exactness,
log-determinant, memory. One table in one run.

    MEDINV_DATA=... python -m pipelines.layers.stacks --out DIR [--quick]

MEDINV_DATA (or --data): an npz of CIFAR-10 (`x_train` NHWC uint8, `y_train`), or a folder that
holds `cifar10.npz` or else `kermany_cxr_112.npz` (`x`, `y`). Each stack and depth runs in a process
of its own and is first trained to classify, batch 16 of 3x32x32 taken to 12x16x16 by Squeeze. Times
are medians of repeats, ratios medians of ratios measured side by side. A package that is not
installed, or fails, says so in the table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "forward_ms": "forward ms",
    "inverse_ms": "inverse ms",
    "inverse_over_forward": "inverse / forward",
    "first_inverse_ms": "first inverse ms",
    "predicted_8": "predicted error, 8 bits",
    "error_8": "error, 8 bits",
    "exact_8": "exact, 8 bits",
    "predicted_16": "predicted error, 16 bits",
    "error_16": "error, 16 bits",
    "exact_16": "exact, 16 bits",
    "log_det_error": "log-det error",
    "step_ratio": "training step / plain twin",
    "peak_mb": "peak MB of a step",
}


def load(path: Path) -> tuple[str, Tensor, Tensor]:
    """Name, uint8 images (n, 3, 32, 32) and labels of the training data."""
    if path.is_dir():
        path = next(
            (
                path / name
                for name in ("cifar10.npz", "kermany_cxr_112.npz")
                if (path / name).exists()
            ),
            path / "cifar10.npz",
        )
    with np.load(path) as file:
        if "x_train" in file:
            return (
                "CIFAR-10",
                torch.from_numpy(file["x_train"].transpose(0, 3, 1, 2).copy()),
                torch.from_numpy(file["y_train"]).long(),
            )
        x, y = file["x"], file["y"]
    crops = np.stack(
        [x[:, 24:56, c : c + 32] for c in (10, 40, 70)], 1
    )  # three crops stand for three colours
    return "chest X-ray crops", torch.from_numpy(crops), torch.from_numpy(y).long()


def measure(name: str, depth: int, data: Path, steps: int, repeats: int) -> list[dict]:
    """The rows of one stack and depth: float32, then the same weights in float64."""
    from pipelines.layers import peers
    from pipelines.layers.measures import (
        BATCH,
        CHANNELS,
        exactness,
        log_det_error,
        predicted,
        side_by_side,
        train,
        unit,
    )

    torch.manual_seed(0)
    stack = peers.STACKS[name](depth, CHANNELS)
    with np.load(data) as file:
        images, labels = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
    common = {
        "stack": name,
        "layers": depth,
        **train(stack, depth, images[BATCH:], labels[BATCH:], steps),
    }
    stack.eval().requires_grad_(False)
    rows, batch = [], images[:BATCH]
    for dtype in (torch.float32, torch.float64):
        stack = stack.to(dtype)
        row = {
            "dtype": str(dtype).removeprefix("torch."),
            **common,
            **side_by_side(stack, unit(stack, batch.to(dtype), 8), repeats),
        }
        for bits in (8, 16):
            row |= exactness(stack, batch, bits, dtype) | predicted(stack, batch, bits, dtype)
        rows.append(row)
    return [{**row, "log_det_error": log_det_error(stack, batch)} for row in rows]


def run_apart(name: str, depth: int, arguments: argparse.Namespace, data: Path) -> list[dict]:
    """`measure` in a fresh process, so that memory is its own and a peer that fails or
    hangs costs its row alone.
    """
    command = [
        sys.executable,
        "-m",
        "pipelines.layers.stacks",
        "--row",
        name,
        "--depth",
        str(depth),
        "--data",
        str(data),
        "--out",
        str(arguments.out),
    ]
    command += ["--steps", str(arguments.steps), "--repeats", str(arguments.repeats)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=arguments.limit, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return [{"stack": name, "layers": depth, "reason": f"not done after {arguments.limit} s"}]
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    return [
        {
            "stack": name,
            "layers": depth,
            "reason": (done.stderr.strip().splitlines() or ["no message"])[-1][:200],
        }
    ]


def cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1e}" if value != 0 and not 0.01 <= abs(value) < 1e4 else f"{value:.3g}"
    return "-" if value is None else str(value)


def cells(row: dict) -> list[str]:
    """A row as it stands in a table."""
    told = [cell(row.get(key)) for key in COLUMNS]
    if "reason" in row:
        told = [f"not measured: {row['reason']}", *["-"] * (len(COLUMNS) - 1)]
    return [row["stack"], str(row["layers"]), row.get("dtype", "-"), *told]


def table(title: str, rows: list[dict]) -> str:
    lines = [
        f"# Invertible layers compared\n\n{title}\n",
        "| stack | layers | dtype | " + " | ".join(COLUMNS.values()) + " |",
    ]
    lines.append("|" + "---|" * (3 + len(COLUMNS)))
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def rows(data: Path, *, steps: int, repeats: int, depths: Sequence[int] = (20, 100)) -> list[dict]:
    """Every stack at every depth, each in a process of its own."""
    from pipelines.layers.peers import STACKS

    _, images, labels = load(Path(data))
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "images.npz"
        np.savez(where, x=images[:2000].numpy(), y=labels[:2000].numpy())
        how = argparse.Namespace(steps=steps, repeats=repeats, limit=600, out=Path(folder))
        return [
            row for depth in depths for name in STACKS for row in run_apart(name, depth, how, where)
        ]


def write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("MEDINV_DATA"),
        help="npz or folder; default MEDINV_DATA",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for layers.md and layers.json"
    )
    parser.add_argument("--quick", action="store_true", help="5 training steps, 3 repeats")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--limit", type=int, default=600, help="seconds that one stack at one depth may take"
    )
    parser.add_argument("--only", default="", help="stacks whose name contains this")
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--depth", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data or set MEDINV_DATA")
    if arguments.row:
        print(
            json.dumps(
                measure(
                    arguments.row,
                    arguments.depth,
                    arguments.data,
                    arguments.steps,
                    arguments.repeats,
                )
            )
        )
        return
    if arguments.quick:
        arguments.steps, arguments.repeats = 5, 3
    from pipelines.layers.peers import STACKS

    source, images, labels = load(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows, names = [], [name for name in STACKS if arguments.only in name]
    title = f"{source}, {arguments.steps} training steps, {torch.get_num_threads()} threads, "
    title += f"torch {torch.__version__}. Errors in grey levels. "
    title += "Twin: zero-padded conv3, batch norm, leaky ReLU."
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images.npz"
        np.savez(data, x=images[:2000].numpy(), y=labels[:2000].numpy())
        for depth in arguments.depths:
            for name in names:
                rows += run_apart(name, depth, arguments, data)
                write(
                    arguments.out / "layers.json",
                    json.dumps({"about": title, "rows": rows}, indent=1),
                )
                write(arguments.out / "layers.md", table(title, rows))
    print(table(title, rows))


if __name__ == "__main__":
    main()
