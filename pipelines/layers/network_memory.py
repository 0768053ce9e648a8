"""Peak memory and time of a training step of whole networks at 128 and 224 pixels: activations
stored, and recomputed by `train.recompute`.

    python -m pipelines.layers.network_memory --out DIR [--batch 8] [--quick]

Writes layers-memory.md and .json. The networks are those that `medinv init` recommends for two
classes of grey images, and the same with three times as many convolutions a level; each cell in a
fresh process, in float32; memory is the growth of the resident set over one step, as the kernel's
high-water mark tells it (Linux). Gradients: the largest difference over all weights, relative to
the largest gradient of the same tensor. `--quick`: 64 pixels alone.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from torch import Tensor

from medinv.config import Config
from medinv.data.sets.info import PARTS, DataSetInfo
from medinv.layers.reversible import recomputed
from medinv.models.base import InvertibleNetwork
from medinv.models.build import build, kind_of
from medinv.training.draft import write
from medinv.training.recommend import draft
from pipelines.layers.measures import peak_memory

SIZES, TIMES = (128, 224), (1, 3)
COLUMNS = ("network", "side", "convolutions", "stored, MB", "recomputed, MB", "stored, s",
           "recomputed, s", "gradients apart")  # fmt: skip


def configuration(kind: str, side: int, times: int) -> Config:
    info = DataSetInfo(
        name="memory",
        classes=("no", "yes"),
        channels=1,
        size=(side, side),
        counts={part: {"no": 100, "yes": 100} for part in PARTS},
        patients=dict.fromkeys(PARTS, 200),
        mean=(120.0,),
        std=(60.0,),
        sha256="",
    )
    tree = yaml.safe_load(write(draft(info, (), kind), info, "none"))
    tree["model"]["depths"] = [times * depth for depth in tree["model"]["depths"]]
    return Config.model_validate(tree)


def gradients(network: InvertibleNetwork, config: Config, images: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    labels = torch.arange(len(images)) % 2
    loss = kind_of(config.model).loss(network, images, labels, config.train, 0)
    return list(torch.autograd.grad(loss.total, list(network.parameters())))


def measure(kind: str, side: int, times: int, way: str, batch: int) -> dict:
    config = configuration(kind, side, times)
    torch.manual_seed(0)
    network = build(config).train()
    images = torch.randint(0, 256, (batch, 1, side, side)).float()
    kind_of(config.model).start(
        network, images.byte().numpy(), (torch.arange(batch) % 2).numpy(), config
    )
    stored = network.trunk
    if way == "recomputed":
        network.trunk = recomputed(stored)
    gradients(network, config, images[:2])
    peak = peak_memory(lambda: gradients(network, config, images))
    start = time.perf_counter()
    ours = gradients(network, config, images)
    row = {
        "network": kind,
        "side": side,
        "times": times,
        "way": way,
        "peak_mb": peak,
        "seconds": time.perf_counter() - start,
        "convolutions": network.convolutions,
    }
    if way == "recomputed":
        again = build(config).train()
        again.load_state_dict(network.state_dict())
        pairs = zip(ours, gradients(again, config, images), strict=True)
        row["apart"] = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
    return row


def table(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for stored, again in zip(rows[::2], rows[1::2], strict=True):
        cells = [stored["network"], stored["side"], stored["convolutions"]]
        cells += [f"{row['peak_mb']:.0f}" for row in (stored, again)]
        cells += [f"{row['seconds']:.1f}" for row in (stored, again)]
        lines.append("| " + " | ".join(map(str, [*cells, f"{again['apart']:.1e}"])) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        kind, side, times, way = options.cell
        print(json.dumps(measure(kind, int(side), int(times), way, options.batch)))
        return
    rows = []
    for kind in ("density", "pooled"):
        for side in (64,) if options.quick else SIZES:
            for times in (1,) if options.quick else TIMES:
                for way in ("stored", "recomputed"):
                    cell = ["--cell", kind, str(side), str(times), way]
                    given = ["--out", str(options.out), "--batch", str(options.batch)]
                    command = [sys.executable, "-m", "pipelines.layers.network_memory"]
                    done = subprocess.run(
                        [*command, *given, *cell], capture_output=True, text=True, check=True
                    )
                    rows.append(json.loads(done.stdout))
                    print(rows[-1], file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "layers-memory.json").write_text(json.dumps(rows, indent=1))
    (options.out / "layers-memory.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
