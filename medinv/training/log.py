"""The log of a training, from which its steps can be replayed: entries chained by their hashes.

An entry is a line of JSON. Its hash is SHA-256 of the hash before it and of its own words, so that
no line can be changed, moved or taken out without every later one. A log says what was done, not
that it was: `medinv.training.replay` does steps again and holds them against it.

    begin   a sitting: configuration, data, seed, machine, and the state that it started from
    steps   of an epoch: which images in which order, the loss of each step, weights after steps
            1, 2, 4, 8, ..., and the state after the last one
    epoch   its record, the weights of the epoch to keep, and the state after it

A state is the network, its average, the optimiser and the weights kept; all hashes are SHA-256.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from medinv.errors import IntegrityError, ModelError, OutputError

LOG = "training-log.jsonl"
FIRST = "0" * 64  # what the first entry takes for the hash before it


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Begin(_Entry):
    """A sitting. `epoch` and `step` are those done before it."""

    entry: Literal["begin"] = "begin"
    format: Literal[1] = 1
    config: dict[str, Any]
    data_sha256: str
    epoch: int
    step: int
    state: str
    device: str
    threads: int
    processes: int
    machine: str
    versions: dict[str, str]


class Steps(_Entry):
    """Steps `first` to `last` of an epoch, from 1."""

    entry: Literal["steps"] = "steps"
    epoch: int
    first: int
    rows: str  # of the numbers of the images, in order, as int64
    cross_entropy: tuple[float, ...]
    weights: dict[str, str]  # by the number of the step
    state: str

    @property
    def last(self) -> int:
        """The last of them."""
        return self.first + len(self.cross_entropy) - 1


class Closed(_Entry):
    """The end of an epoch."""

    entry: Literal["epoch"] = "epoch"
    epoch: int
    record: dict[str, Any]
    kept: str  # of the parameters that would be published
    state: str


Entry = Begin | Steps | Closed
ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


def hashed_after(step: int) -> bool:
    """Whether weights are hashed after a step of an epoch, from 1: few hashes, more at its start.

    >>> [step for step in range(1, 20) if hashed_after(step)]
    [1, 2, 4, 8, 16]
    """
    return step & (step - 1) == 0


def of_weights(network: nn.Module) -> str:
    """Hash of a network's parameters in float32, by name."""
    named = ((name, each.detach().float()) for name, each in network.named_parameters())
    return _of_tensors(sorted(named, key=lambda one: one[0]))


def of_state(parts: Mapping[str, Any]) -> str:
    """Hash of every tensor in the states of the parts of a run, by name."""
    states = {name: part.state_dict() for name, part in parts.items()}
    return _of_tensors(_tensors("", states))


def of_rows(rows: np.ndarray) -> str:
    """Hash of the numbers of images, in the order in which they were shown."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.int64).tobytes()).hexdigest()


def _tensors(name: str, tree: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            yield from _tensors(f"{name}/{key}", tree[key])
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for number, each in enumerate(tree):
            yield from _tensors(f"{name}/{number}", each)


def _of_tensors(named: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in named:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def append(path: Path, entries: Iterable[Entry], before: str) -> str:
    """Write entries behind those of the log, to the disk; returns the hash of the last.

    Raises OutputError.
    """
    lines = []
    for entry in entries:
        words = entry.model_dump(mode="json")
        before = _chained(before, words)
        lines.append(json.dumps({**words, "hash": before}) + "\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as stream:
            stream.write("".join(lines))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=path) from error
    return before


def read(path: Path) -> tuple[list[Entry], str]:
    """The entries of a log and the hash of the last.

    Raises ModelError where there is none, IntegrityError where a line is not what was written; it
    names the first such line.
    """
    if not path.is_file():
        raise ModelError(
            "this training left no log; `medinv train` writes one since it has `verify-run`",
            path=path,
            stage="verify-run",
        )
    entries, before = [], FIRST
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            words = json.loads(line)
            written = words.pop("hash")
            before = _chained(before, words)
            entries.append(ENTRY.validate_python(words))
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
            raise _changed(path, number) from error
        if written != before:
            raise _changed(path, number)
    if not entries or not isinstance(entries[0], Begin):
        raise _changed(path, 1)
    return entries, before


def without_a_torn_end(path: Path) -> None:
    """Cut off a last line that was not written whole, as where the power failed."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _chained(before: str, words: Mapping[str, Any]) -> str:
    plain = json.dumps(words, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}{plain}".encode()).hexdigest()


def _changed(path: Path, number: int) -> IntegrityError:
    return IntegrityError(
        f"log: line {number} is not what was written there, or a line before it is missing; "
        "a training goes on once the log is moved away",
        path=path,
        stage="verify-run",
    )
