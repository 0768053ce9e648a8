"""What writes the log of a training while it runs, and the snapshots to replay it from."""

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from medinv.config import Config
from medinv.layers import processes
from medinv.training import log
from medinv.training.run import Run

SNAPSHOTS = "snapshots"


def snapshot_at(folder: Path, epoch: int) -> Path:
    """Where the state after an epoch lies, beside the log."""
    return folder / SNAPSHOTS / f"epoch-{epoch:04}.pt"


def chosen(epochs: int, snapshots: int) -> frozenset[int]:
    """After which epochs snapshots are taken, so that they and both ends lie evenly.

    >>> sorted(chosen(20, 3))
    [5, 10, 15]
    """
    at = (round(epochs * i / (snapshots + 1)) for i in range(1, snapshots + 1))
    return frozenset(epoch for epoch in at if 0 < epoch < epochs)


class Silent:
    """Where no log is asked for."""

    def begin(self, rows: np.ndarray) -> None:
        """An epoch begins, or goes on, with the numbers of its images (steps, batch)."""

    def step(self, cross_entropy: float) -> None:
        """A step was done."""

    def write(self) -> None:
        """Write the steps since the last time. Raises OutputError."""

    def close(self) -> None:
        """An epoch ended: write its record, and a snapshot where one is due."""


@dataclass
class Journal(Silent):
    """Takes each step, and writes an entry where the run writes its checkpoint.

    The log is written before the checkpoint: after a kill it may be ahead of it, never behind, and
    the next sitting says where it goes on from.
    """

    folder: Path
    run: Run
    config: Config
    data_sha256: str
    snapshots: int = 0
    belongs: str = ""  # of checkpoints
    _head: str = log.FIRST
    _rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    _losses: list[float] = field(default_factory=list)
    _weights: dict[str, str] = field(default_factory=dict)

    def open(self) -> None:
        """Say that a sitting begins. Raises OutputError, and as `log.read`."""
        path, at = self.folder / log.LOG, self.run.at
        if at.epochs or at.step:
            log.without_a_torn_end(path)
            if path.is_file():
                self._head = log.read(path)[1]
        else:
            path.unlink(missing_ok=True)  # of a run whose checkpoint is gone
        self._write(
            log.Begin(
                config=self.config.model_dump(mode="json"),
                data_sha256=self.data_sha256,
                epoch=len(at.epochs),
                step=at.step,
                state=log.of_state(self.run.parts()),
                device=str(self.run.device),
                threads=torch.get_num_threads(),
                processes=processes.size(),
                **here(self.run.device),
            )
        )

    def begin(self, rows: np.ndarray) -> None:
        """The numbers of the epoch's images, for the entries of its steps."""
        self._rows = rows

    def step(self, cross_entropy: float) -> None:
        """Take its loss and, after few steps, hash the weights."""
        self._losses.append(cross_entropy)
        if log.hashed_after(self.run.at.step):
            self._weights[str(self.run.at.step)] = log.of_weights(self.run.model)

    def write(self) -> None:
        """Write the steps since the last time. Raises OutputError."""
        if not self._losses:
            return
        last = self.run.at.step
        first = last - len(self._losses)
        self._write(
            log.Steps(
                epoch=len(self.run.at.epochs) + 1,
                first=first + 1,
                rows=log.of_rows(self._rows[first:last]),
                cross_entropy=tuple(self._losses),
                weights=self._weights,
                state=log.of_state(self.run.parts()),
            )
        )
        self._losses, self._weights = [], {}

    def close(self) -> None:
        """Write the epoch's record, and a snapshot where one is due. Raises OutputError."""
        epochs = self.run.at.epochs
        self._write(
            log.Closed(
                epoch=len(epochs),
                record=epochs[-1],
                kept=log.of_weights(self.run.best),
                state=log.of_state(self.run.parts()),
            )
        )
        if len(epochs) in chosen(self.config.train.epochs, self.snapshots):
            self.run.save(snapshot_at(self.folder, len(epochs)), self.belongs)

    def _write(self, entry: log.Entry) -> None:
        self._head = log.append(self.folder / log.LOG, [entry], self._head)


def here(device: torch.device) -> dict:
    """The machine and the versions on which rounding depends."""
    machine = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    )
    return {
        "machine": machine,
        "versions": {name: version(name) for name in ("medinv", "torch", "monai", "numpy")},
    }
