"""What was dropped on the page, on the disk, and how far each upload has come.

    OUT/uploads/UPLOAD/images/000001.dcm   as it came; removed when it is classified
    OUT/uploads/UPLOAD/state.json          how far it has come
    OUT/uploads/UPLOAD/results/            what medinv classify writes
    OUT/run.lock                           which process works here

Names of files and folders may name a patient: none is kept, files are numbered.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict

from medinv.batch.lock import locked
from medinv.errors import DataError, OutputError
from medinv.files import write_whole

Stage = Literal["receiving", "waiting", "running", "done", "failed"]
ENDINGS = (".dcm", ".zip", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
PART = ".part"


@dataclass(frozen=True)
class Limits:
    """Beyond these an upload is refused; archives have limits of their own when they are read."""

    bytes: int = 8_000_000_000  # of an upload
    files: int = 20_000
    receiving: int = 8  # uploads at a time
    idle: float = 120.0  # s after which one that brings nothing more is dropped


class TooMuchError(DataError):
    """An upload that is larger than allowed."""

    code, stage = "too-much", "upload"


class GoneError(DataError):
    """An upload that is not there, or takes no more files."""

    code, stage = "gone", "upload"


class _State(BaseModel):
    """What state.json says."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    files: int
    began: float  # s since 1970
    message: str = ""


@dataclass
class Upload:
    """One of them. Its files are numbered from 1."""

    name: str
    folder: Path
    stage: Stage = "receiving"
    files: int = 0
    bytes: int = 0
    began: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.monotonic)
    message: str = ""  # why it failed
    doing: str = ""  # while it runs
    total: int = 0  # studies, each by each model
    done: int = 0
    removed: bool = False  # while it runs: to be deleted as soon as it can be

    @property
    def images(self) -> Path:
        """Where its files lie until they are classified."""
        return self.folder / "images"

    @property
    def results(self) -> Path:
        """Where its results lie."""
        return self.folder / "results"

    @property
    def active(self) -> bool:
        """It waits or is being classified."""
        return self.stage in ("waiting", "running")

    def note(self, stage: Stage, message: str = "") -> None:
        """Write down how far it has come. Raises OutputError."""
        self.stage, self.message = stage, message
        state = _State(stage=stage, files=self.files, began=self.began, message=message)
        write_whole(self.folder / "state.json", state.model_dump_json().encode())


class Uploads:
    """All uploads of a folder, which is this process's alone until `close`.

    Uploads that an earlier process did not finish are to be classified still; what it had not
    received whole is gone. Raises ConfigError while another process works in the folder,
    OutputError where nothing can be written.
    """

    def __init__(self, out: Path, limits: Limits | None = None):
        self.out, self.limits = out, limits or Limits()
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._held.enter_context(locked(out))
        self._all: dict[str, Upload] = {}
        for folder in sorted((out / "uploads").glob("*/")):
            upload = _found(folder)
            if upload:
                self._all[upload.name] = upload
            elif _is_name(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Let another process have the folder; drop what was not received whole."""
        for upload in self.all():
            if upload.stage == "receiving":
                self._drop(upload)
        self._held.close()

    def all(self) -> list[Upload]:
        """Newest first."""
        with self._lock:
            return sorted(self._all.values(), key=lambda upload: -upload.began)

    def find(self, name: str) -> Upload:
        """The upload of a name. Raises GoneError."""
        with self._lock:
            if name not in self._all:
                raise GoneError("there is no such upload any more: drop the files again")
            return self._all[name]

    def begin(self) -> Upload:
        """A new one. Raises TooMuchError, OutputError."""
        self._drop_idle()
        if sum(one.stage == "receiving" for one in self.all()) >= self.limits.receiving:
            raise TooMuchError("too many uploads at a time: wait until one of them is through")
        name = secrets.token_hex(8)
        upload = Upload(name, self.out / "uploads" / name)
        with _writing():
            upload.images.mkdir(parents=True)
        with self._lock:
            self._all[name] = upload
        return upload

    def place(self, upload: Upload, number: int, name: str) -> Path:
        """Where file `number` of an upload goes: of its name only a known ending is kept.

        Raises GoneError, TooMuchError.
        """
        if upload.stage != "receiving":
            raise GoneError("this upload takes no more files: drop them again")
        if not 1 <= number <= self.limits.files:
            raise TooMuchError(
                f"at most {self.limits.files} files are taken at a time: drop fewer, or a zip"
            )
        ending = next((end for end in reversed(ENDINGS) if name.lower().endswith(end)), "")
        return upload.images / f"{number:06d}{ending}"

    def take(self, upload: Upload, stream: BinaryIO, data: bytes) -> None:
        """Write a piece of a file. Raises TooMuchError, OutputError."""
        upload.bytes += len(data)
        upload.touched = time.monotonic()
        if upload.bytes > self.limits.bytes:
            raise TooMuchError(
                f"at most {self.limits.bytes / 1e9:.3g} GB are taken at a time: drop fewer files"
            )
        with _writing():
            stream.write(data)

    def took(self, upload: Upload, part: Path, place: Path) -> None:
        """A file is there whole; a zip is known by its first bytes. Raises OutputError."""
        with _writing():
            with part.open("rb") as stream:
                if stream.read(4) in ZIP:
                    place = place.with_suffix(".zip")
            part.replace(place)
        upload.files += 1

    def finish(self, upload: Upload) -> None:
        """All its files are there. Raises GoneError, OutputError."""
        if upload.stage != "receiving" or not upload.files:
            raise GoneError("this upload holds no files: drop them again")
        for part in upload.images.glob(f"*{PART}"):
            part.unlink()
        upload.note("waiting")

    def remove(self, upload: Upload) -> None:
        """Delete it with its results; while it runs, as soon as it can be."""
        upload.removed = True
        if upload.stage != "running":
            self._drop(upload)

    def _drop_idle(self) -> None:
        for upload in self.all():
            idle = time.monotonic() - upload.touched > self.limits.idle
            if upload.stage == "receiving" and idle:
                self._drop(upload)

    def _drop(self, upload: Upload) -> None:
        with self._lock:
            self._all.pop(upload.name, None)
        shutil.rmtree(upload.folder, ignore_errors=True)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to the output folder: {error.strerror}", stage="upload"
        ) from error


def _is_name(name: str) -> bool:
    return len(name) == 16 and all(letter in "0123456789abcdef" for letter in name)


def _found(folder: Path) -> Upload | None:
    """What an earlier process left; None where it is no upload, or was not received whole."""
    try:
        state = _State.model_validate_json((folder / "state.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not _is_name(folder.name) or state.stage == "receiving":
        return None
    stage: Stage = "waiting" if state.stage == "running" else state.stage
    return Upload(folder.name, folder, stage, state.files, began=state.began, message=state.message)
