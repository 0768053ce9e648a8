"""Pages on disk: whole or not at all."""

import os
import tempfile
from pathlib import Path

from medinv.errors import OutputError


def write_page(path: Path, data: bytes) -> Path:
    """Write to a temporary name beside `path`, then rename; makes the folder. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise OutputError(
            f"expected a folder that can be written, got: {error.strerror}; choose another output folder",
            path=path,
        ) from error
    return path


def _replace(path: Path, data: bytes) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
