"""When a recipe reaches what: time to accuracy, from the records of trainings.

    python -m pipelines.shipped.times                            the page, from times/ and the cards
    python -m pipelines.shipped.times --keep NAME CHECKPOINT...  the epochs of the parts
    python -m pipelines.shipped.times --measure CONFIG...        trained anew, processor seconds

--keep reads `checkpoint.pt` of the folders that `medinv train` wrote, in the order of the parts.
Validation images alone are read.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel

from medinv.config import load_config
from medinv.data.sets.load import load_images
from medinv.files import write_whole
from medinv.models.store import read_card, shipped
from medinv.training.train import Epoch, train
from pipelines.record import Table, record

KEPT = Path(__file__).with_name("times")
NEAR = (0.05, 0.01)  # below the last accuracy


class Passed(BaseModel):
    """An epoch: its seconds, and macro AUC and accuracy on validation images where recorded."""

    part: int
    seconds: float
    auc: float | None
    accuracy: float | None


class Record(BaseModel):
    """A training's epochs in order, and what its seconds are: of the wall or of the processor."""

    clock: str
    epochs: tuple[Passed, ...]

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.epochs)

    @property
    def last(self) -> Passed:
        return self.epochs[-1]

    def reached(self, accuracy: float) -> float:
        """Seconds after which no epoch's accuracy is below; those not recorded do not count."""
        spent, found = 0.0, None
        for each in self.epochs:
            spent += each.seconds
            if each.accuracy is not None:
                below = each.accuracy < accuracy - 1e-12
                found = None if below else spent if found is None else found
        return self.seconds if found is None else found

    def is_of(self, seconds: float) -> bool:
        """Whether its last part took what a card says."""
        part = sum(each.seconds for each in self.epochs if each.part == self.last.part)
        return abs(part - seconds) < 1


def kept(name: str, checkpoints: Sequence[Path]) -> None:
    """Write the record of a training from the checkpoints of its parts."""
    passed = []
    for part, path in enumerate(checkpoints, 1):
        tree = torch.load(path, weights_only=True)
        for each in tree.get("position", tree)["epochs"]:
            accuracy = each.get("validation_accuracy")
            one = Passed(
                part=part, seconds=each["seconds"], auc=each["validation"], accuracy=accuracy
            )
            passed.append(one)
    _write(name, Record(clock="wall", epochs=tuple(passed)))


def measured(path: Path) -> None:
    """Train a configuration anew, on one thread, and write its record."""
    config, passed, began = load_config(path), list[Passed](), time.process_time()

    def note(epoch: Epoch) -> None:
        spent = time.process_time() - began - sum(each.seconds for each in passed)
        found = (epoch.validation, epoch.validation_accuracy)
        passed.append(Passed(part=1, seconds=spent, auc=found[0], accuracy=found[1]))
        print(config.name, passed[-1], flush=True)

    torch.set_num_threads(1)
    data = load_images(config.data)
    began = time.process_time()
    train(config, data, report=note)
    _write(config.name, Record(clock="processor", epochs=tuple(passed)))


def _write(name: str, found: Record) -> None:
    KEPT.mkdir(exist_ok=True)
    write_whole(KEPT / f"{name}.json", found.model_dump_json(indent=1).encode() + b"\n")


def row(name: str, found: Record | None, card_seconds: float | None) -> list[str]:
    """A recipe's line."""
    if found is None:
        return [name, "card alone", "wall", f"{(card_seconds or 0) / 60:.1f}", "-", "-", "-", "-"]
    parts = found.last.part
    how = f"{len(found.epochs)} epochs" + f" in {parts} parts" * (parts > 1)
    anew = card_seconds is not None and found.clock == "wall" and not found.is_of(card_seconds)
    cells = [name, how + ", of earlier weights" * anew, found.clock, f"{found.seconds / 60:.1f}"]
    auc, accuracy = found.last.auc, found.last.accuracy
    cells.append("-" if accuracy is None else f"{accuracy:.3f} ({auc:.3f})")
    if accuracy is None:
        return [*cells, "-", "-", "-"]
    far, near = (found.reached(accuracy - gap) for gap in NEAR)
    return [*cells, f"{far / 60:.1f}", f"{near / 60:.1f}", f"{1 - near / found.seconds:.0%}"]


def table() -> Table:
    """Shipped models first, then recipes that were measured beside them."""
    records = {
        path.stem: Record.model_validate_json(path.read_text())
        for path in sorted(KEPT.glob("*.json"))
    }
    names = [*shipped(), *(name for name in records if name not in shipped())]
    rows = [
        row(name, records.get(name), read_card(name).seconds if name in shipped() else None)
        for name in names
    ]
    columns = ("recipe", "record", "clock", "minutes", "last accuracy (AUC), validation")
    columns += tuple(f"minutes to within {100 * gap:g} points" for gap in NEAR)
    note = (
        "Of averaged weights, at the end of each epoch, on validation images; within so many "
        "points of the last accuracy from then on. Minutes of the wall on one core that others "
        "used too, or on the device that is named, or of the processor. Where the schedule lowers "
        "the rate to the end, a shorter training would be there earlier than this line is: the "
        "last column is not what could be saved by stopping, but how much of the time goes into "
        "the last point."
    )
    return Table("Time to accuracy", (*columns, "share of the time after that"), rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", nargs="+", metavar="NAME CHECKPOINT")
    parser.add_argument("--measure", nargs="+", type=Path, metavar="CONFIG", default=[])
    given = parser.parse_args()
    if given.keep:
        kept(given.keep[0], [Path(each) for each in given.keep[1:]])
    for config in given.measure:
        measured(config)
    found = table()
    lines = found.rows
    told = "; ".join(f"{line[0]} {line[-2]} of {line[3]}" for line in lines if line[-2] != "-")
    page = record(
        "shipped-times",
        title="Time to accuracy of the recipes",
        claim=f"Minutes to within a point of the last validation accuracy, of all: {told}.",
        tables=[found],
        made={"command": "python -m pipelines.shipped.times", "seeds": 1},
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
