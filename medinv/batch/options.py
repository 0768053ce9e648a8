"""How to run a batch."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medinv.data.dicom.records import Study

if TYPE_CHECKING:  # else brought where it is needed: they bring torch
    from medinv.analysis.result import StudyResult
    from medinv.models.store import Card

CORES = os.cpu_count() or 2
READERS = max(1, CORES // 2)  # the network has the other cores

Renderer = Callable[["StudyResult", "Card", Path], Mapping[str, Any]]
"""Writes files of a result into the results folder; returns fields of the result to be updated.

The renderers of a run are given it one after the other, each with what those before it updated.
"""


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `of`."""

    number: int = 1
    of: int = 1

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.number}-of-{self.of}"

    def holds(self, study: Study) -> bool:
        """Whether a study belongs here: told by its identity alone, whatever others there are."""
        digest = hashlib.sha256(identity(study).encode()).hexdigest()
        return int(digest[:12], 16) % self.of == self.number - 1


def identity(study: Study) -> str:
    """The study's UID; of files that name no study, where the file lies."""
    return study.uid or sources(study)[0]


def sources(study: Study) -> list[str]:
    """Every file of a study, by the name that the index gave it."""
    return [
        *(instance.source for instance in study.instances),
        *(skipped.source for skipped in study.skipped),
        *(broken.source for broken in study.broken),
    ]


@dataclass(frozen=True)
class Options:
    """How to run. `renderers` write files of each result with pixels and explanations, by name."""

    out: Path
    renderers: Mapping[str, Renderer] = field(default_factory=dict)
    phi: bool = False
    overwrite: bool = False
    resume: bool = False
    retry_failed: bool = False  # resumes too
    max_failures: int | None = None  # studies that may fail before the run stops
    shard: Shard = Shard()
    rule: str | None = None  # how images decide for their study; None: as each model's card says
    abstain: float | None = None  # error of the sets by which studies are left undecided
    lossless: bool = False  # the lossless intake instead of the resizing one
    timeout: float = 300.0  # seconds for reading a study
    memory: int = 4 << 30  # bytes that reading may take
    readers: int = READERS  # processes
    log: Path | None = None  # None: run.log beside the results
    engine: Callable[..., Any] | None = None  # makes the work, as `Work` does, which None means

    @property
    def folder(self) -> Path:
        """Where this run's results lie: `out`, or a shard's folder within."""
        return self.out if self.shard.of == 1 else self.out / "shards" / self.shard.folder

    @property
    def threads(self) -> int:
        """Of the network: the cores that reading leaves.

        Threads that wait for a busy core stall all others, ten times and more.
        """
        return max(1, CORES - self.readers)

    def of_rows(self) -> dict[str, object]:
        """Those that change what stands in a row."""
        return {
            "phi": self.phi,
            "rule": self.rule,
            "lossless": self.lossless,
            **({} if self.abstain is None else {"abstain": self.abstain}),
        }
