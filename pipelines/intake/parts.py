"""Where a file's processor time goes on its way through `medinv classify`, part by part.

    python -m pipelines.intake.parts FOLDER --model DIR [--others phantom-opacity chest-xray]

All parts of a run with one reading process are clocked by the time of their own thread, without
what they call that is a part itself. The reading process is clocked as a whole, and its parts in
this one, where the same files are read again; what is left of it is the messages that it sends.
Prints JSON: processor ms an image by part. `table` makes the rows of the page of run.py.
"""

import argparse
import json
import pickle
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from pipelines.intake import ways

COLUMNS = ("files, part", "process", "CPU ms/image", "of decode")
NOTE = (
    "Processor milliseconds an image of one run, not of repeats. `decode` is pydicom's reader and "
    "decoder, as above. The main process first makes the index of all files, then runs the network "
    "while the reading process reads. Networks of shipped models are clocked alone, on random "
    "images, in the precision that they run in. `as a chain`: index and reading process one after "
    "the other, and no network."
)
MAIN, READER = "main", "reading"
_PASSES = 3  # of a shipped network
_PATIENCE = 300.0  # s


class Clock:
    """Own thread seconds of functions by label, without those of other labels within them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = threading.local()

    def on(self, owner: Any, name: str, label: str) -> None:
        """Clock a function, where its module or class has it."""
        found = owner.__dict__[name]
        if hasattr(found, "func"):  # a cached property
            found.func = self._clocked(found.func, label)
        else:
            setattr(owner, name, self._clocked(found, label))

    def _clocked(self, function: Callable, label: str) -> Callable:
        @wraps(function)
        def clocked(*given: Any, **named: Any) -> Any:
            before, self._inner.seconds = getattr(self._inner, "seconds", 0.0), 0.0
            began = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                took = time.thread_time() - began
                self.seconds[label] += took - self._inner.seconds
                self._inner.seconds = before + took

        return clocked


def measured(folder: Path, model: Path, others: Iterable[str]) -> dict[str, float]:
    """Processor ms an image by part."""
    from medinv.batch.child import import_pydicom

    import_pydicom()
    decode = ways.decode(folder)
    decode()
    began = time.process_time()
    images = decode()
    told = {"decode": 1000 * (time.process_time() - began) / images}
    told |= _reading(folder, model) | _running(folder, model)
    return told | {f"network of {name}": _network(name) for name in others}


def _reading(folder: Path, model: Path) -> dict[str, float]:
    """What a reading process does, here, and what it takes as a whole, when all is imported."""
    import medinv.data.dicom.pixels as pixels
    import medinv.data.intake as intake

    whole = _process(folder, model)
    clock, go = Clock(), ways.reader(folder, model)
    go()
    clock.on(pixels, "open_dataset", "open, read, parse")
    clock.on(pixels, "decode", "stored integers")
    clock.on(pixels, "_frame", "tables of grey levels, header")
    clock.on(pixels.Pixels, "sha256", "SHA-256 of the pixels")
    clock.on(pixels.Pixels, "display", "grey levels")
    clock.on(intake, "resize", "averages")
    clock.on(pickle, "dumps", "packing")
    images = go()
    told = {name: 1000 * took / images for name, took in clock.seconds.items()}
    told["messages and the rest"] = whole - sum(told.values())
    return {f"{READER}: {name}": took for name, took in told.items()}


def _process(folder: Path, model: Path) -> float:
    """Of a reading process that has read all files once before, ms an image."""
    from medinv.batch.workers import Reader
    from medinv.data.dicom.index import index
    from medinv.data.frame import InputSpec
    from medinv.data.intake import ReadRequest
    from medinv.models.shelf import read_card

    spec, reader = InputSpec.of(read_card(str(model)).config.image_shape), Reader()
    requests = [ReadRequest(one.instances, (spec,)) for one in index([folder]).studies]
    for _ in range(2):
        began = ways.others()
        images = sum(len(reader.read(one, _PATIENCE).frames) for one in requests)
        took = ways.others() - began
    reader.stop()
    return 1000 * took / images


def _running(folder: Path, model: Path) -> dict[str, float]:
    """What the main process does in a run."""
    import medinv.batch.run as run
    import medinv.batch.work as work
    from medinv.analysis.study import Analyst
    from medinv.batch.ledger import Ledger
    from medinv.batch.workers import Reader

    index, clock = ways.indexed(folder), Clock()
    index()
    began = time.process_time()
    index()
    indexed = time.process_time() - began
    go = ways.classify(folder, model, 1)
    clock.on(work, "predict_studies", "network of the small model")
    clock.on(Reader, "_read", "messages of the reading process")
    clock.on(Analyst, "result", "rows")
    clock.on(Ledger, "put", "ledger")
    clock.on(run, "log_result", "log")
    clock.on(run, "make_plan", "plan")
    clock.on(run, "write_tables", "tables")
    own = time.process_time()
    images = go()
    own = time.process_time() - own
    parts = {"index": indexed, **clock.seconds}
    parts["the rest"] = own - sum(parts.values())
    return {f"{MAIN}: {name}": 1000 * took / images for name, took in parts.items()}


def _network(name: str) -> float:
    """Of a shipped model alone, ms an image."""
    import numpy as np
    import torch

    from medinv.analysis.infer import FORWARD, predict
    from medinv.models.store import load

    torch.set_num_threads(1)
    model, seeded = load(name), np.random.default_rng(0)
    images = [seeded.integers(0, 256, model.image_shape, np.uint8) for _ in range(FORWARD)]
    predict(model, images)
    began = time.process_time()
    for _ in range(_PASSES):
        predict(model, images)
    return 1000 * (time.process_time() - began) / (_PASSES * FORWARD)


def table(folder: Path, model: Path, label: str, others: Iterable[str]) -> list[list[str]]:
    """The rows of one kind of files, measured in a process of its own."""
    command = [sys.executable, "-m", "pipelines.intake.parts", str(folder), "--model", str(model)]
    done = subprocess.run(
        [*command, "--others", *others], check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    index = told[f"{MAIN}: index"]
    reading = sum(value for name, value in told.items() if name.startswith(READER))
    told["as a chain: index and reading"] = index + reading
    rows = []
    for name, took in told.items():
        process, _, part = name.rpartition(": ")
        rows.append([f"{label}, {part}", process or "-", f"{took:.2f}", _share(told, took)])
    return rows


def _share(told: dict[str, float], took: float) -> str:
    return f"{took / told['decode']:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--others", nargs="*", default=[])
    given = parser.parse_args()
    print(json.dumps(measured(given.folder, given.model, given.others)))


if __name__ == "__main__":
    main()
