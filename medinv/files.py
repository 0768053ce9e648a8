"""Files and their names: whole or not at all, and names that do not say who the patient is."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from medinv.errors import OutputError


def pseudonym(identifier: str, kind: str) -> str:
    """`kind-` and 16 hexadecimal digits of the SHA-256 of an identifier.

    It is the same for the same study, and there is no way back without the study.
    """
    return f"{kind}-{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file that is there whole or not at all; makes the folder. Raises OutputError."""
    with whole(path) as stream:
        stream.write(data)
    return path


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A stream to `path` that becomes the file when the block ends without an error.

    Written under a temporary name beside it, brought to the disk, then renamed; makes the folder.
    Raises OutputError, and what the block raises.
    """
    beside = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
        beside = ""
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror}; choose another output folder", path=path
        ) from error
    finally:
        if beside:
            Path(beside).unlink(missing_ok=True)
