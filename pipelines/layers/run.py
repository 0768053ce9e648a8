"""Invertible layers beside their peers.

    python -m pipelines.layers.run [--quick] [--stacks] [--sizes 5] [--only ours] [--anew]

Writes pipelines/results/layers.md and .json: one layer by itself (`single`), what a training step
costs over its plain twin (`steps`), the certificate of an image by the networks that ship
(`certificate`), and with --stacks whole stacks trained on images (`stacks`).
Each row is kept in runs/layers.jsonl as it ends, and not measured again by the next call with the
same number of repeats, so that a run can be left and goes on; --anew forgets them. --quick: the
three sizes below 64 x 64, three repeats. `python -m pipelines.layers.memory` and `python -m
pipelines.layers.conditioning` print tables of their own. Research use, not for diagnosis.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from pipelines.layers import certificate, single, stacks, steps
from pipelines.layers.kept import Kept
from pipelines.record import ROOT, Table, record

CLAIM = """Does inverting a convolution cost more than running it, and what does training it cost?
Ratios are of processor time within one process, so that they hold on a machine with other work."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, default=len(single.SIZES), help="from the smallest")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="", help="layers whose name contains this")
    parser.add_argument("--stacks", action="store_true", help="trained stacks too: an hour")
    parser.add_argument("--quick", action="store_true", help="--sizes 3 --repeats 3")
    parser.add_argument("--anew", action="store_true", help="measure what was kept again, too")
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDINV_DATA"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.repeats = min(arguments.sizes, 3), min(arguments.repeats, 3)
    torch.set_num_threads(1)
    started = time.monotonic()
    kept = Kept(ROOT / "runs" / "layers.jsonl", anew=arguments.anew)
    tables = [
        single.table(arguments.sizes, arguments.repeats, arguments.only, kept),
        steps.table(arguments.repeats, kept),
        certificate.table(arguments.repeats, kept),
    ]
    if arguments.stacks:
        tables.append(_stacks(arguments))
    record(
        "layers",
        title="Invertible layers beside their peers",
        claim=CLAIM,
        tables=tables,
        made={
            "command": "python -m pipelines.layers.run " + " ".join(sys.argv[1:]),
            "torch": torch.__version__,
            "threads": 1,
            "seconds": round(time.monotonic() - started),
        },
    )


def _stacks(arguments: argparse.Namespace) -> Table:
    rows = stacks.rows(arguments.data, steps=60, repeats=arguments.repeats)
    columns = ("stack", "layers", "dtype", *stacks.COLUMNS.values())
    return Table("Trained stacks", columns, [stacks.cells(row) for row in rows])


if __name__ == "__main__":
    main()
