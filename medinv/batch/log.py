"""The log of a run: what was done when, without names, UIDs, paths or messages that hold them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medinv.analysis.result import StudyResult
from medinv.batch.ledger import Slot
from medinv.errors import OutputError

LOG = logging.getLogger("medinv.batch")


class _Quiet(logging.FileHandler):
    """That the disk is full is the ledger's to say."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append what is logged meanwhile to a file. Raises OutputError."""
    try:
        handler = _Quiet(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the log cannot be written: {error.strerror}", path=path) from error
    line, date = "%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"
    handler.setFormatter(logging.Formatter(line, date))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


def log_result(slot: Slot, result: StudyResult) -> None:
    """One line a result: the study's pseudonym, even where the results keep its UID."""
    code = f" {result.error.stage}/{result.error.code}" if result.error else ""
    broken = f", {len(result.broken)} files broken" if result.broken else ""
    LOG.info(
        "%s %s: %s%s, %d images%s, %.3f s",
        slot.study,
        slot.model,
        result.status,
        code,
        len(result.instances),
        broken,
        result.seconds,
    )
