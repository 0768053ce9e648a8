"""CIFAR-10: inverted convolutions against their ordinary twins, at depths from 4 to 100,
and with each design choice undone.

    MEDINV_DATA=... python -m pipelines.natural.run --out runs/cifar10
        [--seeds 3] [--epochs 15] [--device cuda] [--only depth|choices|baselines]
    MEDINV_DATA=... python -m pipelines.natural.run --out runs/cifar10-quick --quick
        (thin, 4,000 images, 2 epochs, one seed)

Every network is trained from configs/cifar10.yaml or configs/cifar10-twin.yaml with the overrides
that stand in its row; each row is written to results.jsonl as soon as it is there, and rows that
are there are not made again, so that an interrupted run goes on. The results page and `depth.png`
come from that file alone. The test images are looked at once a row; nothing is chosen by them.
Networks that fail to train or to come back keep their row.
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medinv.config import load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.load import load_images
from medinv.errors import MedinvError
from medinv.models.build import build, kind_of
from medinv.training.publish import condition_numbers, exactness
from medinv.training.train import predict, train
from pipelines.natural.tables import figure_of_depth, tables
from pipelines.record import record

CONFIGS = Path(__file__).parents[2] / "configs"
DEPTHS = {
    4: "[1,2,1]",
    9: "[3,3,3]",
    20: "[6,8,6]",
    50: "[16,18,16]",
    100: "[33,34,33]",
}  # convolutions a level
# Slope, bound and its rate. An error grows by about sqrt((1 + slope^-2) / 2) an activation, and by
# up to its condition number a convolution; all layers together must stay below what float64 holds.
HOLD = {
    4: (0.1, 0.4, 0.1),
    9: (0.1, 0.4, 0.1),
    20: (0.5, 0.5, 0.1),
    50: (0.9, 0.97, 0.3),
    100: (0.95, 0.99, 0.3),
}
CHOICES = {  # what is undone, and how
    "as shipped": (),
    "circular padding": ("model.padding=circular",),
    "reflect padding": ("model.padding=reflect",),
    "slope 0.5": ("model.slope=0.5",),
    "slope 0.3": ("model.slope=0.3",),
    "slope 0.02": ("model.slope=0.02",),
    "bound 0.15": ("train.accretive=0.15",),
    "bound 0.6": ("train.accretive=0.6",),
    "pulled to isometries": (
        "train.accretive=null",
        "train.orthogonality=0.02",
        "train.orthogonality_floor=0.1",
    ),
    "free": ("train.accretive=null", "train.orthogonality=0.0"),
    "ActNorm": ("model.norm=act",),
    "no normalisation": ("model.norm=none",),
    "widened by zeros": ("model.widening=zeros",),
    "not widened": ("model.hidden=[12,48,192]",),
}
BASELINES = ("resnet18", "mobilenetv2", "lenet", "scattering")


def jobs(only: str | None, quick: bool) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(table, row, configuration, overrides) of every network."""
    keys = ("model.slope", "train.accretive", "train.orthogonality")
    inverted = {
        d: (
            f"model.depths={o}",
            *(f"{key}={value}" for key, value in zip(keys, HOLD[d], strict=True)),
        )
        for d, o in DEPTHS.items()
    }
    made = [("depth", f"{d} inverted", "cifar10", o) for d, o in inverted.items()]
    made.append(
        ("depth", "50 inverted, as shipped otherwise", "cifar10", (f"model.depths={DEPTHS[50]}",))
    )
    made += [
        ("depth", f"{d} twin", "cifar10-twin", (f"model.depths={o}",)) for d, o in DEPTHS.items()
    ]
    made += [("choices", name, "cifar10", overrides) for name, overrides in CHOICES.items()]
    made += [
        ("baselines", name, "cifar10-baseline", (f"model.kind={name}",))
        for name in (BASELINES[2:] if quick else BASELINES)
    ]
    return [job for job in made if only in (None, job[0])]


def fewer(data: LabelledImages, train_images: int, test_images: int) -> LabelledImages:
    """The first images of each part."""

    def first(part: Part, n: int) -> Part:
        return Part(part.images[:n], part.labels[:n], part.patients[:n])

    return replace(
        data,
        train=first(data.train, train_images),
        validation=first(data.validation, 500),
        test=first(data.test, test_images),
    )


def run(
    job: tuple,
    seed: int,
    overrides: tuple[str, ...],
    data: LabelledImages,
    given: argparse.Namespace,
) -> dict:
    """One row: train, read the test images once, and run them back."""
    table, row, name, own = job
    if table == "baselines":  # which have no widths of their own
        overrides = tuple(each for each in overrides if not each.startswith("model."))
    config = load_config(CONFIGS / f"{name}.yaml", (f"seed={seed}", *overrides, *own))
    fixed = {
        "table": table,
        "row": row,
        "seed": seed,
        "config_sha256": config.sha256(),
        "kind": config.model.kind,
        "convolutions": build(config).convolutions,
    }
    fixed |= {
        "device": torch.cuda.get_device_name()
        if given.device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    }
    path = given.out / f"{table}-{row}-{seed}.pt".replace(" ", "-")
    try:
        trained = train(
            config,
            data,
            device=given.device,
            checkpoint=path,
            report=lambda epoch: print(f"  {row} {seed}: {vars(epoch)}", flush=True),
        )
        model = trained.model.cpu()
        logits = predict(model, data.test)
        right = (logits.argmax(1).numpy() == data.test.labels).tolist()
        found = {
            "right": "".join(map(str, map(int, right))),
            "seconds": trained.seconds,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if kind_of(config.model).invertible:
            found |= backwards(model, data.test.images)
    except (MedinvError, RuntimeError) as error:
        return fixed | {"failed": str(error).splitlines()[0]}
    path.unlink(missing_ok=True)
    return fixed | found


def backwards(model: torch.nn.Module, images: np.ndarray) -> dict:
    """What the way back costs and gives."""
    found = exactness(model, images).model_dump()
    model.double()
    x = torch.from_numpy(images[:64]).double()
    with torch.no_grad():
        z = model.features(x)
        model.invert(z)  # factors are made once
        start = time.monotonic()
        model.features(x)
        middle = time.monotonic()
        model.invert(z)
        ratio = (time.monotonic() - middle) / (middle - start)
    return {"exact": found, "inverse_over_forward": ratio, "conditions": condition_numbers(model)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, help="3 without it; 1 with --quick")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("depth", "choices", "baselines"))
    parser.add_argument("--rows", nargs="*", default=(), help="names of rows; all without it")
    parser.add_argument(
        "--set",
        nargs="*",
        default=(),
        metavar="KEY=VALUE",
        help="changes of every configuration, such as model.hidden=[24,48,96]",
    )
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = load_images(load_config(CONFIGS / "cifar10.yaml").data)
    overrides = (f"train.epochs={given.epochs}", *given.set)
    if given.quick:
        data, overrides = (
            fewer(data, 4000, 1000),
            ("train.epochs=2", "train.batch=100", "model.hidden=[24,32,48]", "train.average=0.9"),
        )
    path = given.out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    done = {(row["table"], row["row"], row["seed"]) for row in rows}
    for job in (
        job for job in jobs(given.only, given.quick) if not given.rows or job[1] in given.rows
    ):
        for seed in range(given.seeds or (1 if given.quick else 3)):
            if (job[0], job[1], seed) not in done:
                rows.append(run(job, seed, overrides, data, given))
                with path.open("a") as stream:
                    stream.write(json.dumps(rows[-1]) + "\n")
    figure_of_depth(rows, given.out / "depth.png")
    page = record(
        "natural-quick" if given.quick else "natural",
        title="CIFAR-10: inverted convolutions and their ordinary twins",
        claim="How deep inverted convolutions go, what each design choice is for, "
        "and what it costs against an ordinary twin.",
        tables=tables(rows),
        made={
            "command": "python -m pipelines.natural.run " + " ".join(sys.argv[1:]),
            "device": ", ".join(sorted({row["device"] for row in rows})),
        },
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
