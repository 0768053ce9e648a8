"""Reading a model's folder as if a stranger had written it, and what seals and pins its files.

Only regular files within the folder are read, none larger than its kind may be. A card is sealed by
a hash of all that it says, the hash of the weights among it; files of shipped models are pinned in
`shipped/hashes.json`, which `python -m medinv.models.folder` writes.
"""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from medinv.errors import IntegrityError
from medinv.files import write_whole

SHIPPED = Path(__file__).parent / "shipped"
PINNED = SHIPPED / "hashes.json"
WEIGHTS, CARD, CASES, FACTS = "weights.safetensors", "card.json", "cases.safetensors", "cases.json"
LAYOUT = "layout.safetensors"
SEAL = "sha256"  # the field of a card's file that binds all others
LARGEST = {WEIGHTS: 2**31, CASES: 2**31, CARD: 2**22, FACTS: 2**20, LAYOUT: 2**20}  # bytes


def read_file(folder: Path, name: str) -> bytes:
    """One file of a model's folder.

    Raises IntegrityError where it is not a regular file there, is too large, cannot be read, or, in
    the folder of a shipped model, is not the one that was shipped.
    """
    path = folder / name
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise IntegrityError("expected a regular file; it is of another kind", path=path)
            if status.st_size > LARGEST[name]:
                raise IntegrityError(
                    f"expected at most {LARGEST[name]:,} bytes; it has {status.st_size:,}",
                    path=path,
                )
            data = stream.read(LARGEST[name] + 1)
    except OSError as error:
        link = "it is a link, and must be a file; " if path.is_symlink() else ""
        raise IntegrityError(f"cannot be read: {link}{error.strerror}", path=path) from error
    if folder.parent == SHIPPED and pinned().get(f"{folder.name}/{name}") != digest(data):
        raise IntegrityError(
            "this is not the file that was shipped; install the package again", path=path
        )
    return data


def has_file(folder: Path, name: str) -> bool:
    """Whether something of that name lies there, link or not."""
    return os.path.lexists(folder / name)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def seal(tree: dict[str, Any]) -> dict[str, Any]:
    """A card's tree with the hash over everything else in it."""
    rest = {key: value for key, value in tree.items() if key != SEAL}
    return {**rest, SEAL: digest(json.dumps(rest, sort_keys=True).encode())}


def pinned() -> dict[str, str]:
    """SHA-256 of each file of each shipped model."""
    hashes: dict[str, str] = json.loads(PINNED.read_bytes())
    return hashes


def pin(*only: Path) -> None:
    """Write the hashes of the shipped models' files as they stand, or of some files alone."""
    every = [path for path in sorted(SHIPPED.glob("*/*")) if path.name in LARGEST]
    hashes = pinned() if only else {}
    for path in only or every:
        hashes[path.relative_to(SHIPPED).as_posix()] = digest(path.read_bytes())
    write_whole(PINNED, json.dumps(hashes, indent=1).encode() + b"\n")


if __name__ == "__main__":
    pin()
