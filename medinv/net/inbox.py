"""Received images on the disk, and how far each study has come.

    FOLDER/studies/STUDY/images/IMAGE.dcm   as received
    FOLDER/studies/STUDY/state.json         which of them were classified and answered
    FOLDER/results/STUDY/                   what medinv classify writes
    FOLDER/run.lock                         which service works here

All state is here, so that a service that was killed goes on where it stood.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydicom import Dataset

from medinv.batch.lock import locked
from medinv.errors import OutputError
from medinv.files import write_whole
from medinv.net.images import Images

LOG = logging.getLogger("medinv.net")
Stage = Literal["received", "classified", "answered", "failed"]
MAKER = "medinv"
IMAGES, STATE = "images", "state.json"


@dataclass(frozen=True)
class Waiting:
    """A study at a moment: its images by name with the time each was written (ns), its stage."""

    name: str
    folder: Path
    images: dict[str, int]
    stage: Stage  # that these very images have reached
    since: float  # when they did, s since 1970


class _State(BaseModel):
    """What state.json says."""

    model_config = ConfigDict(frozen=True, strict=True)

    images: dict[str, int] = {}
    stage: Stage = "received"
    at: float = 0.0


class Inbox:
    """The folder of one service.

    Raises ConfigError when another service holds it, OutputError when it cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._held = contextlib.ExitStack()
        self._held.enter_context(locked(folder))
        self._studies = folder / "studies"
        try:
            self._studies.mkdir(exist_ok=True)
        except OSError as error:
            self._held.close()
            raise OutputError(f"cannot write here: {error.strerror}", path=folder) from error
        self._images = Images(self._studies, Path(IMAGES))

    def close(self) -> None:
        """Let another service have the folder."""
        self._held.close()

    def results(self, name: str) -> Path:
        """Where the results of a study lie."""
        return self.folder / "results" / name

    def keep(self, header: Dataset, data: bytes) -> None:
        """Put a file on the disk as `Images.keep` does, and raise as it does.

        Our own results that come back are not kept: they would be answered for ever.
        """
        if not is_ours(header):
            self._images.keep(header, data)

    def due(self, quiet: float) -> list[Waiting]:
        """Studies with images, not answered, to which none was added for `quiet` seconds.

        One that failed waits to be sent again.
        """
        now = time.time()
        return [
            one
            for one in self._all()
            if one.stage not in ("answered", "failed")
            and now - max(one.images.values()) / 1e9 >= quiet
        ]

    def note(self, study: Waiting, stage: Stage) -> None:
        """Write down how far these images have come. Raises OutputError.

        Images that came meanwhile make the study due again.
        """
        state = _State(images=study.images, stage=stage, at=time.time())
        write_whole(study.folder / STATE, state.model_dump_json().encode())

    def forget(self, hours: float) -> None:
        """Delete the images of studies that were answered so long ago. Raises OutputError.

        Those of failed studies stay.
        """
        for study in self._all():
            if study.stage == "answered" and time.time() - study.since >= hours * 3600:
                for name, written in study.images.items():
                    self._images.forget(study.folder / IMAGES / name, written)

    def _all(self) -> Iterator[Waiting]:
        """Studies that have images; what else lies in the folder is nobody's study."""
        for folder in sorted(self._studies.iterdir()):
            images = dict(_written(folder / IMAGES))
            if images:
                state = _state(folder / STATE)
                same = state.images == images
                yield Waiting(
                    folder.name, folder, images, state.stage if same else "received", state.at
                )


def _written(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.glob("*.dcm")):
        with contextlib.suppress(OSError):  # gone since
            yield path.name, path.stat().st_mtime_ns


def _state(path: Path) -> _State:
    """What the file says. One that is cut or wrong is put aside, and the images count as new."""
    try:
        return _State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _State()
    except (OSError, ValueError):
        LOG.warning("%s: its state cannot be read; its images count as new", path.parent.name)
        with contextlib.suppress(OSError):
            os.replace(path, path.with_name(f"{STATE}.unreadable"))
        return _State()


def is_ours(header: Dataset) -> bool:
    """Made by this program from another image."""
    return any(
        item.get("Manufacturer") == MAKER and item.get("DeviceUID")
        for item in header.get("ContributingEquipmentSequence", ())
    )
