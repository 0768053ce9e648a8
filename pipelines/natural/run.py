"""CIFAR-10: inverted convolutions against their ordinary twins, at full width and at depths from 4
to 100, and with each design choice undone.

    MEDINV_DATA=... python -m pipelines.natural.run --out runs/cifar10
        [--device cuda] [--workers 5] [--minutes 9] [--seeds 3] [--epochs N]
        [--only full|depth|choices|baselines] [--rows NAME ...] [--set KEY=VALUE ...] [--back 500]
    MEDINV_DATA=... python -m pipelines.natural.run --out runs/cifar10-quick --quick
        (thin, 4,000 images, 2 epochs, one seed)
    python -m pipelines.natural.run --out runs/cifar10 --page      (from the rows that are there)

Every network is trained from configs/cifar10.yaml or configs/cifar10-twin.yaml with the overrides
that stand in its row: at full width as the files say, elsewhere thin and for ten epochs. Each row
is written to results.jsonl as soon as it is there, and rows that are there are not made again, so
that an interrupted run goes on; after --minutes every worker leaves a checkpoint. Workers share the
device. The results page and `depth.png` come from that file alone. The test images are looked at
once a row; nothing is chosen by them. Networks that fail to train or to come back keep their row.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from medinv.config import load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.load import load_images
from medinv.errors import MedinvError
from medinv.models.build import build, kind_of
from medinv.training.publish import condition_numbers, exactness
from medinv.training.train import Options, predict, train
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
THIN = ("model.hidden=[24,48,96]", "train.cutout=0", "train.epochs=10")
FREE = ("train.accretive=null", "train.orthogonality=0.0", "train.orthogonality_floor=0.0")
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
    "free": FREE,
    "ActNorm": ("model.norm=act",),
    "no normalisation": ("model.norm=none",),
    "widened by zeros": ("model.widening=zeros",),
    "not widened": ("model.hidden=[12,48,192]",),
}
QUICK = (
    "train.epochs=2",
    "train.batch=100",
    "model.hidden=[24,32,48]",
    "train.average=0.9",
    "train.warmup=1",
)
BASELINES = ("resnet18", "mobilenetv2", "lenet", "scattering")


Job = tuple[str, str, str, tuple[str, ...]]


def jobs(only: str | None, quick: bool) -> list[Job]:
    """(table, row, configuration, overrides) of every network, the full ones first."""
    keys = ("model.slope", "train.accretive", "train.orthogonality")
    made: list[Job] = [
        ("full", "9 inverted", "cifar10", ()),
        ("full", "9 twin", "cifar10-twin", ()),
    ]
    for depth, levels in DEPTHS.items():
        shape = (f"model.depths={levels}",)
        held = tuple(f"{key}={value}" for key, value in zip(keys, HOLD[depth], strict=True))
        made += [
            ("depth", f"{depth} inverted", "cifar10", (*shape, *held)),
            ("depth", f"{depth} twin", "cifar10-twin", shape),
            ("depth", f"{depth} inverted, free", "cifar10", (*shape, *FREE)),
        ]
        if HOLD[depth] != HOLD[9]:
            made.append(("depth", f"{depth} inverted, as shipped otherwise", "cifar10", shape))
    made += [("choices", name, "cifar10", own) for name, own in CHOICES.items()]
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


@cache  # a process reads them once
def images(quick: bool) -> LabelledImages:
    """The three parts."""
    data = load_images(load_config(CONFIGS / "cifar10.yaml").data)
    return fewer(data, 4000, 1000) if quick else data


def run(job: Job, seed: int, given: argparse.Namespace) -> dict | None:
    """One row: train, read the test images once, and run them back. None where time ran out."""
    if time.time() > given.until:
        return None
    table, row, name, own = job
    changes = (*(THIN if table in ("depth", "choices") else ()), *given.set)
    if table == "baselines":  # which have no widths of their own
        changes = tuple(each for each in changes if not each.startswith("model."))
    config = load_config(CONFIGS / f"{name}.yaml", (*changes, *own, f"seed={seed}"))
    data, cuda = images(given.quick), given.device != "cpu"
    fixed = {
        "table": table,
        "row": row,
        "seed": seed,
        "config_sha256": config.sha256(),
        "kind": config.model.kind,
        "convolutions": build(config).convolutions,
        "epochs": config.train.epochs,
        "device": torch.cuda.get_device_name()
        if cuda
        else f"CPU, {torch.get_num_threads()} threads",
    }
    path = given.out / f"{table}-{row}-{seed}.pt".replace(" ", "-")
    if cuda:
        torch.backends.cudnn.benchmark = True
        torch.cuda.reset_peak_memory_stats()
    try:
        trained = train(
            config,
            data,
            device=given.device,
            checkpoint=path,
            report=lambda epoch: print(f"  {row} {seed}: {vars(epoch)}", flush=True),
            options=Options(stop=lambda: time.time() > given.until),
        )
        right = predict(trained.model, data.test).argmax(1).numpy() == data.test.labels
        found = {
            "right": "".join(map(str, right.astype(int).tolist())),
            "seconds": trained.seconds,
            "parameters": sum(p.numel() for p in trained.model.parameters()),
            "memory_mb": torch.cuda.max_memory_allocated() / 2**20
            if cuda
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        if kind_of(config.model).invertible:
            found |= backwards(trained.model.cpu(), data.test.images[: given.back])
    except KeyboardInterrupt:  # its checkpoint is there
        if time.time() < given.until:
            raise
        return None
    except (MedinvError, RuntimeError) as error:
        return fixed | {"failed": str(error).splitlines()[0]}
    path.unlink(missing_ok=True)
    return fixed | found


def made(waiting: list[tuple[Job, int]], given: argparse.Namespace) -> Iterator[dict | None]:
    """The rows of networks as they are done, here or by processes beside each other."""
    if given.workers == 1:
        yield from (run(job, seed, given) for job, seed in waiting)
        return
    threads = max(1, (os.cpu_count() or 1) // given.workers)
    with ProcessPoolExecutor(
        given.workers, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as pool:
        for each in as_completed([pool.submit(run, job, seed, given) for job, seed in waiting]):
            yield each.result()


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
    parser.add_argument("--epochs", type=int, help="of every network")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="networks trained beside each other")
    parser.add_argument("--minutes", type=float, default=np.inf, help="after which it stops")
    parser.add_argument("--back", type=int, help="test images run backwards; all without it")
    parser.add_argument("--only", choices=("full", "depth", "choices", "baselines"))
    parser.add_argument("--rows", nargs="*", default=(), help="names of rows; all without it")
    parser.add_argument(
        "--set",
        nargs="*",
        default=(),
        metavar="KEY=VALUE",
        help="changes of every configuration, such as model.hidden=[24,48,96]",
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    given.until = time.time() + 60 * given.minutes
    given.set = (*(QUICK if given.quick else ()), *given.set)
    if given.epochs:
        given.set = (*given.set, f"train.epochs={given.epochs}")
    path = given.out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    done = {(row["table"], row["row"], row["seed"]) for row in rows}
    waiting = [
        (job, seed)
        for seed in range(given.seeds or (1 if given.quick else 3))
        for job in jobs(given.only, given.quick)
        if (not given.rows or job[1] in given.rows) and (job[0], job[1], seed) not in done
    ]
    for row in made([] if given.page else waiting, given):
        if row is not None:
            rows.append(row)
            with path.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    order = {job[:2]: place for place, job in enumerate(jobs(None, given.quick))}
    rows.sort(key=lambda row: order.get((row["table"], row["row"]), len(order)))
    page(rows, given)


def page(rows: list[dict], given: argparse.Namespace) -> None:
    """The results page and the figure."""
    figure_of_depth(rows, given.out / "depth.png")
    found = record(
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
    print(found.read_text())


if __name__ == "__main__":
    main()
