"""How to run a batch."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from medinv.data.dicom.index import Study

CORES = os.cpu_count() or 2
READERS = max(1, CORES // 2)  # the network has the other cores


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `of`."""

    number: int = 1
    of: int = 1

    @property
    def folder(self) -> str:
        return f"{self.number}-of-{self.of}"

    def holds(self, study: Study) -> bool:
        """Whether a study belongs here: told by its identity alone, whatever other studies there are."""
        return (
            int(hashlib.sha256(identity(study).encode()).hexdigest()[:12], 16) % self.of
            == self.number - 1
        )


def identity(study: Study) -> str:
    """The study's UID; of files that name no study, where the file lies."""
    return study.uid or next(
        record.source
        for records in (study.instances, study.skipped, study.broken)
        for record in records
    )


@dataclass(frozen=True)
class Options:
    """How to run."""

    out: Path
    report: bool = False
    dicom: bool = False
    phi: bool = False
    overwrite: bool = False
    resume: bool = False
    retry_failed: bool = False  # resumes too
    max_failures: int | None = None  # studies that may fail before the run stops
    shard: Shard = Shard()
    rule: str | None = None  # how images decide for their study; None: as each model's card says
    lossless: bool = False  # the lossless intake instead of the resizing one
    timeout: float = 300.0  # seconds for reading a study
    memory: int = 4 << 30  # bytes that reading may take
    readers: int = READERS  # processes
    log: Path | None = None  # None: run.log beside the results

    @property
    def folder(self) -> Path:
        """Where this run's results lie: `out`, or a shard's folder within."""
        return self.out if self.shard.of == 1 else self.out / "shards" / self.shard.folder

    @property
    def threads(self) -> int:
        """Of the network: the cores that reading leaves. Threads that wait for a busy core stall all others, ten times and more."""
        return max(1, CORES - self.readers)

    def of_rows(self) -> dict[str, object]:
        """Those that change what stands in a row."""
        return {
            "report": self.report,
            "dicom": self.dicom,
            "phi": self.phi,
            "rule": self.rule,
            "lossless": self.lossless,
        }
