"""The log of a run: what was done when, without names, UIDs, paths or messages that could hold them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medinv.batch.ledger import Slot
from medinv.errors import OutputError

LOG = logging.getLogger("medinv.batch")


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append what is logged meanwhile to a file. Raises OutputError."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the log cannot be written: {error.strerror}", path=path) from error
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    handler.handleError = lambda record: None  # that the disk is full is the ledger's to say
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


def log_row(slot: Slot, row: dict[str, Any]) -> None:
    """One line a row: the study's pseudonym, even where the results keep its UID."""
    code = f" {row['error']['stage']}/{row['error']['code']}" if row["error"] else ""
    broken = f", {len(row['broken'])} files broken" if row["broken"] else ""
    LOG.info(
        "%s %s: %s%s, %d images%s, %.3f s",
        slot.study,
        slot.model,
        row["status"],
        code,
        len(row["instances"]),
        broken,
        row["seconds"],
    )
