"""Where a DICOM file lies: on disk, or as a member of a zip that is never unpacked to disk."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from medinv.data.dicom import archive
from medinv.errors import DataError, MissingDataError


@dataclass(frozen=True, order=True, slots=True)
class Location:
    """A file, or the member of a zip."""

    path: Path
    member: str = ""  # empty for a file on disk

    @property
    def source(self) -> str:
        """`folder/file.dcm` or `studies.zip!a/b.dcm`, printable; no two locations print alike."""
        path = archive.printable(str(self.path)).replace("!", r"\x21")
        return f"{path}!{archive.printable(self.member)}" if self.member else path

    def open(self) -> BinaryIO:
        """A seekable stream. Raises MissingDataError, DataError or ArchiveError."""
        if self.member:
            return archive.open_member(self.path, self.member)
        try:
            return open(self.path, "rb")
        except FileNotFoundError as error:
            raise MissingDataError("the file is not there (any more)", path=self.source) from error
        except OSError as error:
            raise DataError(
                f"the file cannot be opened: {error.strerror}", path=self.source
            ) from error

    def read(self) -> io.BytesIO:
        """The whole content in memory; a zip member's checksum is verified.

        Raises as `open` does.
        """
        with self.open() as stream:
            try:
                return io.BytesIO(stream.read())
            except archive.FAULTS as error:
                if self.member:
                    raise archive.damaged(self.source, error) from error
                raise DataError(
                    f"the file cannot be read ({type(error).__name__})", path=self.source
                ) from error

    def size(self) -> int:
        """Bytes of the (uncompressed) content."""
        return (
            archive.member_size(self.path, self.member)
            if self.member
            else os.stat(self.path).st_size
        )
