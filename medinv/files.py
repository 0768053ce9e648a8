"""Files and their names: whole or not at all, and names that do not say who the patient is."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def beside(path: Path) -> Path:
    """A hidden name beside `path` that nothing has.

    It is known before anything is made, so that an interrupt finds what is to be removed.
    """
    return path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}"


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A stream to `path` that becomes the file when the block ends without an error.

    Written under a temporary name beside it, brought to the disk, then renamed; makes the folder.
    Raises OutputError, and what the block raises.
    """
    made = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(made, 0o644)
        os.replace(made, path)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror}; choose another output folder", path=path
        ) from error
    finally:
        with suppress(OSError):  # what could not be made, or is the file by now
            made.unlink()
