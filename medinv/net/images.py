"""Images into folders of studies: once, whole, and never of two patients.

    FOLDER/STUDY/below/IMAGE.dcm

Names are hashes of UIDs; the images themselves name the patient.
"""

import io
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path

import pydicom
from pydicom import Dataset

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.patient import Patient, judge, read_patient
from medinv.errors import HeaderError, OutputError, RepeatedUidError, TwoPatientsError
from medinv.files import pseudonym, write_whole

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")  # leading zeros break the rule and still name one thing
_LONGEST_UID = 64
_REMEMBERED = 1024  # studies whose patient is known without a look at the disk


class Images:
    """The images below a folder. Safe for several threads of one process."""

    def __init__(self, folder: Path, below: Path = Path()):
        self._folder, self._below = folder, below
        self._lock = threading.Lock()
        self._patients: OrderedDict[Path, set[Patient]] = OrderedDict()

    def keep(self, header: Dataset, data: bytes) -> Path:
        """Put a file on the disk, durably, and return its path; one that is there is marked as new.

        Raises HeaderError without possible UIDs, TwoPatientsError where the study holds images of
        another patient, RepeatedUidError where another image stands under its SOP Instance UID,
        and OutputError. What is there stays.
        """
        study, image = (_uid(header, of) for of in ("StudyInstanceUID", "SOPInstanceUID"))
        folder = self._folder / pseudonym(study, "study") / self._below
        path = folder / f"{pseudonym(image, 'image')}.dcm"
        with self._lock:
            patients = self._patients_of(folder)
            patient = read_patient(Fields(header))
            if why := judge((*patients, patient)).conflict:
                raise TwoPatientsError(
                    f"expected one patient in a study; its images say {why}: correct the headers at"
                    " the source, or give each patient a study of their own"
                )
            if path.exists():
                _check_same(path, data)
                os.utime(path)
            else:
                write_whole(path, data)
                self._settle(folder)
            patients.add(patient)
        return path

    def forget(self, path: Path, written: int) -> None:
        """Delete an image that was not sent again since it was written (ns). Raises OutputError."""
        with self._lock:
            try:
                if path.stat().st_mtime_ns == written:
                    path.unlink()
            except OSError as error:
                raise OutputError(f"cannot delete: {error.strerror}", path=path) from error

    def _settle(self, folder: Path) -> None:
        """Bring the names on the disk too, so that no image is lost with the power."""
        for one in (folder, *folder.parents):
            handle = os.open(one, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if one == self._folder:
                break

    def _patients_of(self, folder: Path) -> set[Patient]:
        """Those of the images that are there."""
        paths = list(folder.glob("*.dcm"))
        if not paths or folder not in self._patients:
            self._patients[folder] = {patient for path in paths for patient in _read(path)}
        self._patients.move_to_end(folder)
        while len(self._patients) > _REMEMBERED:
            self._patients.popitem(last=False)
        return self._patients[folder]


def _uid(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if not isinstance(value, str) or not _UID.fullmatch(value) or len(value) > _LONGEST_UID:
        raise HeaderError(
            f"expected one {keyword} of digits and dots, at most {_LONGEST_UID} characters: no"
            " result could refer to the image"
        )
    return value


def _read(path: Path) -> list[Patient]:
    try:
        return [read_patient(Fields(pydicom.dcmread(path, stop_before_pixels=True)))]
    except Exception:  # damaged since: nothing can be made of it, and reading it fails the study
        return []


def _check_same(path: Path, data: bytes) -> None:
    """Raises RepeatedUidError, or OutputError where what is there cannot be read."""
    try:
        there = path.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot read what is there: {error.strerror}", path=path) from error
    if there != data and not _equal(there, data):
        raise RepeatedUidError(
            "another image stands under this SOP Instance UID; the first is kept: give the second"
            " a UID of its own at the source"
        )


def _equal(one: bytes, other: bytes) -> bool:
    """The same elements, however they are encoded."""
    try:
        return bool(pydicom.dcmread(io.BytesIO(one)) == pydicom.dcmread(io.BytesIO(other)))
    except Exception:  # an element that pydicom cannot read: only equal bytes are equal then
        return False
