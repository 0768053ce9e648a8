"""Received images on the disk, and how far each study has come. All state is here, so that a service that was killed goes on where it stood.

    FOLDER/studies/STUDY/images/IMAGE.dcm   as received
    FOLDER/studies/STUDY/state.json         which of them were classified and answered
    FOLDER/results/STUDY/                   what medinv classify writes

Names are hashes of UIDs; the images themselves name the patient.
"""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom import Dataset

from medinv.files import pseudonym
from medinv.errors import ConfigError, HeaderError, OutputError

Stage = Literal["received", "classified", "answered", "failed"]
MAKER = "medinv"


@dataclass(frozen=True)
class Waiting:
    """A study at a moment: its images by name with the time each was written (ns), and how far these very images have come."""

    name: str
    folder: Path
    images: dict[str, int]
    stage: Stage


class Inbox:
    """The folder of one service. Raises ConfigError when another service holds it, OutputError when it cannot be written."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            (folder / "studies").mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "another medinv receive works in this folder; end it or name another folder",
                path=folder,
            ) from error
        except OSError as error:
            raise OutputError(
                f"cannot write here: {error.strerror}; choose a folder you may write to",
                path=folder,
            ) from error

    def close(self) -> None:
        """Let another service have the folder."""
        self._lock.close()

    def results(self, name: str) -> Path:
        return self.folder / "results" / name

    def keep(self, header: Dataset, data: bytes) -> None:
        """Put a file on the disk, whole or not at all. Our own results that come back are not kept: they would be answered for ever."""
        if not is_ours(header):
            write_image(self.folder / "studies", header, data, Path("images"))

    def due(self, quiet: float) -> list[Waiting]:
        """Studies with images that are not answered and to which none was added for `quiet` seconds. One that failed waits to be sent again."""
        now = time.time()
        found = [self._look(folder) for folder in sorted((self.folder / "studies").iterdir())]
        return [
            one
            for one in found
            if one.images
            and one.stage not in ("answered", "failed")
            and now - max(one.images.values()) / 1e9 >= quiet
        ]

    def note(self, study: Waiting, stage: Stage) -> None:
        """Write down how far these images have come; images that came meanwhile make the study due again."""
        state = json.dumps({"images": study.images, "stage": stage, "at": time.time()})
        write_durably(study.folder / "state.json", state.encode())

    def forget(self, hours: float) -> None:
        """Delete the images of studies that were answered so long ago; those of failed ones stay."""
        for folder in (self.folder / "studies").iterdir():
            study, state = self._look(folder), _state(folder)
            if (
                study.images
                and study.stage == "answered"
                and time.time() - state["at"] >= hours * 3600
            ):
                for name in study.images:
                    (folder / "images" / name).unlink()

    def _look(self, folder: Path) -> Waiting:
        images = {
            path.name: path.stat().st_mtime_ns for path in sorted((folder / "images").glob("*.dcm"))
        }
        state = _state(folder)
        return Waiting(
            folder.name,
            folder,
            images,
            state["stage"] if state.get("images") == images else "received",
        )


def _state(folder: Path) -> dict:
    try:
        return json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return {}


def is_ours(header: Dataset) -> bool:
    """Made by this program from another image."""
    return any(
        item.get("Manufacturer") == MAKER and item.get("DeviceUID")
        for item in header.get("ContributingEquipmentSequence", ())
    )


def write_image(folder: Path, header: Dataset, data: bytes, below: Path = Path()) -> Path:
    """Write a file as STUDY/below/IMAGE.dcm under `folder`, named by hashes. Raises HeaderError without UIDs and OutputError."""
    if not header.get("StudyInstanceUID") or not header.get("SOPInstanceUID"):
        raise HeaderError(
            "expected StudyInstanceUID and SOPInstanceUID; the image lacks one, so that no result could refer to it"
        )
    path = (
        folder
        / pseudonym(header.StudyInstanceUID, "study")
        / below
        / f"{pseudonym(header.SOPInstanceUID, 'image')}.dcm"
    )
    write_durably(path, data)
    return path


def write_durably(path: Path, data: bytes) -> None:
    """On the disk, whole, when this returns: not lost if the power goes. Raises OutputError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"cannot write: {error.strerror}", path=path) from error
