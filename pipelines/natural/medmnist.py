"""BreastMNIST, PneumoniaMNIST and AdrenalMNIST3D under the official protocol:
the epoch of best validation AUC, test AUC and accuracy, mean of three seeds.

    MEDINV_DATA=... python -m pipelines.natural.medmnist [SET ...] --out runs/medmnist
        [--seeds 3] [--quick]

Writes a results page beside the published ResNet-18 at 28 pixels (Yang et al. 2023, table 3;
AdrenalMNIST3D: 3D convolutions) and medmnist.json with all figures. The test set is read once
a seed, after its last epoch. An interrupted run goes on from the checkpoints in --out.
`--quick`: one seed, two epochs.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch

from medinv.config import load_config
from medinv.data.sets.load import load_images
from medinv.metrics import macro_auc, proportion
from medinv.training.publish import condition_numbers, exactness
from medinv.training.train import predict, train
from pipelines.record import Table, record

PUBLISHED = {
    "breastmnist": (0.901, 0.863),
    "pneumoniamnist": (0.944, 0.854),
    "adrenalmnist3d": (0.827, 0.721),
}  # ResNet-18, 28: AUC, accuracy
COLUMNS = (
    "set",
    "seeds",
    "AUC",
    "ResNet-18, AUC",
    "accuracy",
    "ResNet-18, accuracy",
    "exact, float64 / float32",
    "largest condition number",
    "s a seed",
)
NOTE = (
    "Mean over seeds and standard deviation; the epoch of best validation AUC; "
    "test images read once a seed."
)
CONFIGS = Path(__file__).parents[2] / "configs"


def measure(name: str, seed: int, out: Path, overrides: tuple[str, ...]) -> dict:
    """Train one seed, then look at its test images once."""
    config = load_config(CONFIGS / f"{name}.yaml", (f"seed={seed}", *overrides))
    data = load_images(config.data)
    trained = train(
        config,
        data,
        checkpoint=out / f"{name}-{seed}.pt",
        report=lambda epoch: print(f"  {name} {seed}: {vars(epoch)}", flush=True),
    )
    probabilities = predict(trained.model, data.test).softmax(1).numpy()
    exact = exactness(trained.model, data.test.images)
    return {
        "set": name,
        "seed": seed,
        "auc": macro_auc(data.test.labels, probabilities),
        "accuracy": proportion(probabilities.argmax(1) == data.test.labels).value,
        "validation_auc": max(epoch.validation for epoch in trained.epochs),
        "exact": exact.model_dump(),
        "conditions": condition_numbers(trained.model),
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "config_sha256": config.sha256(),
        "seconds": trained.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sets", nargs="*", default=list(PUBLISHED), metavar="SET", help=", ".join(PUBLISHED)
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    overrides = ("train.epochs=2", "train.warmup=1") if given.quick else ()
    started, rows = time.monotonic(), []
    for name in given.sets:
        rows += [
            measure(name, seed, given.out, overrides)
            for seed in range(1 if given.quick else given.seeds)
        ]
        (given.out / "medmnist.json").write_text(json.dumps(rows, indent=1))
    page = record(
        "natural-medmnist",
        title="MedMNIST under the official protocol",
        claim="Inverted 3x3 convolutions against the published ResNet-18 at 28 pixels "
        "(Yang et al. 2023).",
        tables=[Table("Test sets", COLUMNS, [line(name, rows) for name in given.sets], NOTE)],
        made={
            "command": "python -m pipelines.natural.medmnist " + " ".join(sys.argv[1:]),
            "device": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "seconds": round(time.monotonic() - started),
        },
    )
    print(page.read_text())


def line(name: str, rows: list[dict]) -> list[str]:
    """A data set's line of the table."""
    mine = [row for row in rows if row["set"] == name]
    auc, accuracy = (np.array([row[key] for row in mine]) for key in ("auc", "accuracy"))
    exact = [min(row["exact"][f"share_float{bits}"] for row in mine) for bits in (64, 32)]
    return [
        name,
        str(len(mine)),
        f"{auc.mean():.3f} ± {auc.std():.3f}",
        f"{PUBLISHED[name][0]:.3f}",
        f"{accuracy.mean():.3f} ± {accuracy.std():.3f}",
        f"{PUBLISHED[name][1]:.3f}",
        f"{exact[0]:.2%} / {exact[1]:.1%}",
        f"{max(max(row['conditions']) for row in mine):.1f}",
        f"{np.mean([row['seconds'] for row in mine]):.0f}",
    ]


if __name__ == "__main__":
    main()
