"""The chest radiograph classifier against its ordinary twin.

    python -m pipelines.radiographs.twins [--out runs/chest-xray-study] [--quick]

Trains both with three seeds (resuming, skipping what is finished), reads the cards, times training
steps and the inverse side by side in one process, and writes table.md and table.json. Needs
MEDINV_DATA. Hours on two cores; --quick trains 2 epochs of one seed to show that all works.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from medinv.config import load_config
from medinv.data.sets.load import load_images
from medinv.files import write_whole
from medinv.models.build import build
from medinv.models.store import CARD, Card, load, read_card

KINDS = {"invertible": "configs/chest-xray.yaml", "twin": "configs/chest-xray-twin.yaml"}
REPEATS = 15


def train_all(out: Path, seeds: list[int], overrides: list[str]) -> dict[str, list[Path]]:
    """One model folder a kind and seed, made by `medinv train` unless it stands."""
    folders: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for seed in seeds:
        for kind, config in KINDS.items():
            folder = out / f"{kind}-{seed}"
            settings = (
                [f"seed={seed}", *overrides] if seed else overrides
            )  # the shipped configuration is seed 0 as it stands
            options = [word for text in settings for word in ("--set", text)]
            if not (folder / CARD).is_file():
                subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        "from medinv.cli.main import main; main()",
                        "train",
                        config,
                        "--out",
                        folder,
                        *options,
                    ],
                    check=True,
                )
            folders[kind].append(folder)
    return folders


def side_by_side(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each action, run in turn so that a change of the
    machine's speed meets all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(REPEATS):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[2:]) for name, values in times.items()}


def training_steps(images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Median seconds of one optimisation step of each kind on the same batch, float32."""
    x, y = (
        torch.from_numpy(images).float().contiguous(memory_format=torch.channels_last),
        torch.from_numpy(labels),
    )

    def step(kind: str) -> Callable[[], None]:
        torch.manual_seed(0)
        model = build(load_config(KINDS[kind])).to(memory_format=torch.channels_last)

        def run() -> None:
            model.zero_grad()
            if kind == "twin":
                F.cross_entropy(model.logits(x), y).backward()
            else:
                reading = model.read(x)
                (
                    F.cross_entropy(reading.logits, y)
                    - reading.log_likelihoods.gather(1, y[:, None]).mean() / x[0].numel()
                ).backward()

        return run

    return side_by_side({kind: step(kind) for kind in KINDS})


def inverse_ratio(folder: Path, images: np.ndarray) -> dict[str, float]:
    """Median seconds of features and of their inverse, batch 16, in float32 and float64."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        model, x = load(folder, dtype=dtype), torch.from_numpy(images[:16]).to(dtype)
        with torch.no_grad():
            z = model.features(x)
            times = side_by_side(
                {"forward": partial(model.features, x), "inverse": partial(model.invert, z)}
            )
        found[str(dtype).removeprefix("torch.")] = times["inverse"] / times["forward"]
    return found


def row(kind: str, cards: list[Card]) -> dict[str, str]:
    """Mean over seeds, and each seed's value."""

    def seeds(values: list[float], digits: int = 4) -> str:
        return f"{np.mean(values):.{digits}f} ({', '.join(f'{v:.{digits}f}' for v in values)})"

    cells = {
        "network": kind,
        "parameters": f"{cards[0].parameters:,}",
        "3x3 convolutions": str(cards[0].convolutions),
    }
    for name in ("auc", "accuracy", "sensitivity", "specificity", "brier", "calibration_error"):
        cells[name.replace("_", " ")] = seeds([card.metrics[name].value for card in cards])
    exact = [card.exactness for card in cards if card.exactness]
    for bits in ("float64", "float32"):
        cells[f"exact, {bits}"] = (
            seeds([getattr(e, f"share_{bits}") for e in exact]) if exact else "-"
        )
        cells[f"largest error, {bits}"] = (
            f"{max(getattr(e, f'max_abs_error_{bits}') for e in exact):.1e}" if exact else "-"
        )
    cells["largest condition number"] = (
        f"{max(c.largest_condition_number for c in cards):.1f}" if exact else "-"
    )
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/chest-xray-study"))
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs")
    options = parser.parse_args()
    seeds, overrides = ([0], ["train.epochs=2"]) if options.quick else ([0, 1, 2], [])
    out = options.out.with_name(options.out.name + "-quick") if options.quick else options.out
    out.mkdir(parents=True, exist_ok=True)
    folders = train_all(out, seeds, overrides)
    rows = [row(kind, [read_card(folder) for folder in folders[kind]]) for kind in KINDS]
    config = load_config(KINDS["invertible"])
    train = load_images(config.data).train
    steps, ratios = (
        training_steps(train.images[: config.train.batch], train.labels[: config.train.batch]),
        inverse_ratio(folders["invertible"][0], train.images),
    )
    for cells, kind in zip(rows, KINDS, strict=True):
        cells["seconds an epoch"] = f"{steps[kind] * (len(train) // config.train.batch):.0f}"
    rows[0]["inverse/forward"] = ", ".join(
        f"{value:.2f} in {name}" for name, value in ratios.items()
    )
    rows[1]["inverse/forward"] = "-"
    lines = [
        "| | " + " | ".join(cells["network"] for cells in rows) + " |",
        "|---|" + "---|" * len(rows),
    ]
    lines += [
        f"| {name} | " + " | ".join(cells[name] for cells in rows) + " |"
        for name in rows[0]
        if name != "network"
    ]
    notes = (
        f"Test images: {read_card(folders['invertible'][0]).splits['test']}; "
        f"seeds {seeds}, mean (each); {torch.get_num_threads()} CPU threads; "
        f"step ratio {steps['invertible'] / steps['twin']:.2f}."
    )
    table = "\n".join([*lines, "", notes, ""])
    write_whole(out / "table.md", table.encode())
    write_whole(
        out / "table.json",
        json.dumps(
            {"rows": rows, "steps": steps, "inverse/forward": ratios, "seeds": seeds}, indent=1
        ).encode(),
    )
    print(table)


if __name__ == "__main__":
    main()
