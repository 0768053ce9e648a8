"""Zip archives, read in memory: nothing is ever unpacked to disk, and what looks hostile is
refused by name."""

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from medinv.errors import ArchiveError, MissingDataError

# What zipfile and its decompressors raise on damaged, encrypted or unsupported members.
DECOMPRESSION_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)
FAULTS = (
    *DECOMPRESSION_FAULTS,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OSError,
    LookupError,
    MemoryError,
)

# bzip2 and LZMA unpack a few bytes to any number at once.
_IN_PIECES = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Limits:
    """Sizes (bytes, uncompressed) beyond which an archive or a member is refused."""

    total: int = 64 << 30
    member: int = 4 << 30
    members: int = 1_000_000
    ratio: int = 250  # uncompressed / compressed, looked at only above `ratio_floor`
    ratio_floor: int = 64 << 20

    def bomb(self, size: int, compressed: int) -> bool:
        """Whether so many bytes came out of so few that nobody meant them to be read."""
        return size > self.ratio_floor and size > self.ratio * max(compressed, 1)


LIMITS = Limits()


def printable(text: str) -> str:
    """`text` with undecodable bytes, control characters and backslashes escaped, safe in a
    terminal, a log and JSON. Two texts never print alike."""
    text = text.replace("\\", "\\\\")
    if text.isascii() and text.isprintable():
        return text
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def looks_like_zip(path: Path) -> bool:
    """True for a `.zip` name or the signature of one. An unreadable file is not one."""
    if path.suffix.lower() == ".zip":
        return True
    try:
        with open(path, "rb") as stream:
            return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def members(path: Path, limits: Limits = LIMITS) -> list[tuple[str, ArchiveError | None]]:
    """Names of the files in a zip, sorted, each with the error for which it is refused, or None.

    Raises ArchiveError if the archive as a whole is damaged or too large.
    """
    infos = [info for info in _zip(path).infolist() if not info.filename.endswith("/")]
    total, on_disk = sum(info.file_size for info in infos), os.stat(path).st_size
    if len(infos) > limits.members:
        raise ArchiveError(
            f"{len(infos)} members, at most {limits.members} are read: split the archive", path=path
        )
    if total > limits.total:
        raise ArchiveError(
            f"{total} bytes when unpacked, at most {limits.total} are read: split the archive",
            path=path,
        )
    if limits.bomb(total, on_disk):
        raise ArchiveError(
            f"{total} bytes when unpacked from {on_disk}: refused as a decompression bomb",
            path=path,
        )
    repeated = Counter(info.filename for info in infos)
    refusals = {
        info.filename: _refusal(path, info, limits, repeated[info.filename]) for info in infos
    }
    return sorted(refusals.items())


def _refusal(path: Path, info: zipfile.ZipInfo, limits: Limits, times: int) -> ArchiveError | None:
    """Why a member is not opened, or None."""
    name = info.filename.replace("\\", "/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if (
        not name
        or name.startswith("/")
        or ".." in PurePosixPath(name).parts
        or name[1:2] == ":"
        or info.filename != info.orig_filename
    ):
        reason = "its name is empty or points outside the archive"
    elif kind not in (0, stat.S_IFREG):
        reason = "it is a symbolic link or a device, not a file"
    elif info.flag_bits & 1:
        reason = "it is encrypted; decrypt the archive first"
    elif info.file_size > limits.member:
        reason = f"it has {info.file_size} bytes, at most {limits.member} are read"
    elif info.file_size > limits.ratio_floor and info.compress_type not in _IN_PIECES:
        reason = "it is large and not compressed in a way that is read piece by piece (use deflate)"
    elif limits.bomb(info.file_size, info.compress_size):
        reason = f"it unpacks {info.compress_size} bytes to {info.file_size}: a decompression bomb"
    elif times > 1:
        reason = f"the archive holds {times} members of this name"
    else:
        return None
    return ArchiveError(f"member refused: {reason}", path=printable(f"{path}!{info.filename}"))


def open_member(path: Path, member: str) -> BinaryIO:
    """A seekable stream of a member's content. Raises ArchiveError or MissingDataError."""
    try:
        return _zip(path).open(member)  # type: ignore[return-value]
    except KeyError as error:
        raise MissingDataError(
            "the archive has no such member (any more)", path=printable(f"{path}!{member}")
        ) from error
    except FAULTS as error:
        raise damaged(printable(f"{path}!{member}"), error) from error


def member_size(path: Path, member: str) -> int:
    """Bytes of a member when unpacked."""
    return _zip(path).getinfo(member).file_size


def damaged(source: str, error: Exception) -> ArchiveError:
    """The error for a member that cannot be read."""
    return ArchiveError(
        f"the zip member cannot be read ({type(error).__name__}): the archive is damaged or "
        "unsupported",
        path=source,
    )


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        state = os.stat(path)
        return _opened(path, state.st_size, state.st_mtime_ns, os.getpid())
    except FileNotFoundError as error:
        raise MissingDataError("the archive is not there (any more)", path=path) from error
    except FAULTS as error:
        raise ArchiveError(
            f"the zip cannot be opened ({type(error).__name__}): not a zip, or damaged", path=path
        ) from error


@lru_cache(maxsize=4)
def _opened(path: Path, size: int, mtime_ns: int, pid: int) -> zipfile.ZipFile:
    """Kept open, because a zip's directory is long to parse.

    The key changes with the file, and in a forked process (which shares offsets).
    """
    return zipfile.ZipFile(path)
