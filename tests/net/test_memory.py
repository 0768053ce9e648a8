"""A service gives back the memory that a study took, between what stays of it."""

import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from test_receive import Answering

from medinv.net.inbox import Waiting
from medinv.net.settings import Network

PAGES = 4096 / 2**20  # MB


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGES


class Holes(Answering):
    """Takes 120 MB for a study, of which little stays, in many places."""

    peak = 0.0

    def _classify(self, study: Waiting) -> None:
        super()._classify(study)
        taken = [bytes([k % 255]) * 6000 for k in range(20_000)]
        self.stays, self.peak = taken[::100], resident()


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_freed_memory_does_not_stay_with_the_service(samples: Path, tmp_path: Path) -> None:
    service = Holes(Network(port=1, quiet_seconds=0.01), [], tmp_path / "in")
    images = tmp_path / "in" / "studies" / "study-a" / "images"
    images.mkdir(parents=True)
    shutil.copy(next((samples / "studies" / "study-08").glob("*.dcm")), images / "a.dcm")
    time.sleep(0.1)
    service._look(threading.Event())
    assert service.stays and resident() < service.peak - 80
