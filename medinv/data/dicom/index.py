"""Which images a set of files, folders, zips and lists holds, from their headers alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation

from medinv.data.dicom import archive
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.grouping import group
from medinv.data.dicom.header import read_header
from medinv.data.dicom.records import Broken, Index, Instance, Skipped, Study
from medinv.data.dicom.selection import select, uid_of
from medinv.data.dicom.walk import Candidate, walk
from medinv.data.nifti import is_nifti, read_nifti_header
from medinv.errors import DataError, MedinvError, PixelDataError

__all__ = ["Broken", "Index", "Instance", "Skipped", "Study", "index", "open_dataset"]

_REPEATED = (
    "study_uid", "series_uid", "sop_class", "modality", "body_part", "view", "laterality", "patient_orientation", "image_type", "photometric",
    "transfer_syntax", "series_description", "study_description", "echo", "b_value", "warnings",
)  # fmt: skip
Record = Instance | Skipped | Broken


def index(
    inputs: Sequence[Path],
    *,
    limits: archive.Limits = archive.LIMITS,
    on_file: Callable[[str], None] | None = None,
) -> Index:
    """Index files, folders (recursively, whatever the names), zips (read in memory), DICOMDIRs, NIfTI volumes and CSV lists of these.

    Every file handed in becomes exactly one Instance, Skipped or Broken; no single file makes this raise. Headers only. The order
    depends on the files alone: by study, then the groups of `grouping.group`, each along its normal. Of files with one SOP Instance UID
    the first by source is kept. `on_file` is called with each source, for a progress bar.
    """
    studies: dict[str, list[Record]] = defaultdict(list)
    loose: list[Record] = []
    for study, found in sorted(_records(inputs, limits, on_file), key=lambda pair: pair[1].source):
        (studies[study] if study else loose).append(found)
    _mark_duplicates([*studies.values(), loose])
    named = [_study(uid, records) for uid, records in sorted(studies.items())]
    return Index(tuple(named + [_study(None, [record]) for record in loose]))


def _records(
    inputs: Sequence[Path], limits: archive.Limits, on_file: Callable[[str], None] | None
) -> Iterator[tuple[str | None, Record]]:
    """Each file with the study that a list puts it in, or that its header names."""
    known: dict = {}
    for found in walk(inputs, limits):
        record = _record(found) if isinstance(found, Candidate) else found
        if isinstance(record, Instance):
            _share(record, known)
        if on_file:
            on_file(record.source)
        yield (
            found.study if isinstance(found, Candidate) and found.study else record.study_uid,
            record,
        )


def _share(instance: Instance, known: dict) -> None:
    """Let equal values of many images be one object: a series repeats most of its header, and memory is what a large index costs."""
    for record, names in ((instance, _REPEATED), (instance.geometry, ("spacing", "orientation"))):
        for name in names:
            value = getattr(record, name)
            object.__setattr__(record, name, known.setdefault(value, value))


def _record(candidate: Candidate) -> Record:
    location, study_uid = candidate.location, None
    try:
        if is_nifti(location):
            return read_nifti_header(location)
        header = read_header(location, named=candidate.named)
        if header is None:
            return Skipped(location.source, None, None, "not-dicom", "not DICOM")
        study_uid = uid_of(header.fields, "StudyInstanceUID", location)
        return select(header, location, study_uid)
    except MedinvError as error:
        return Broken(location.source, study_uid, error)


def _mark_duplicates(groups: Iterable[list[Record]]) -> None:
    """Replace every image whose SOP Instance UID was met before, in order of source."""
    places = [
        (record.source, group, i)
        for group in groups
        for i, record in enumerate(group)
        if isinstance(record, Instance)
    ]
    first: dict[str, str] = {}
    for source, group, i in sorted(places, key=lambda place: place[0]):
        record = group[i]
        original = first.setdefault(record.sop_uid, source)
        if original != source:
            message = f"same SOP Instance UID as {original}"
            group[i] = Skipped(source, record.study_uid, record.sop_uid, "duplicate", message)


def _study(uid: str | None, records: list[Record]) -> Study:
    instances = [record for record in records if isinstance(record, Instance)]
    return Study(
        uid,
        instances=tuple(instance for found in group(instances) for instance in found.instances),
        skipped=tuple(record for record in records if isinstance(record, Skipped)),
        broken=tuple(record for record in records if isinstance(record, Broken)),
    )


def open_dataset(instance: Instance) -> pydicom.Dataset:
    """The whole data set of an image, in memory. It holds patient identifiers: keep them out of logs and results.

    Raises PixelDataError if the file cannot be parsed to its end, DataError if it is no longer the file that was indexed,
    MissingDataError or ArchiveError if it cannot be opened.
    """
    content = instance.location.read()
    try:
        with disable_value_validation():  # its warnings quote values, which may name a patient
            dataset = pydicom.dcmread(content, force=True)
        sop_uid = Fields(dataset).text("SOPInstanceUID") or Fields(dataset.file_meta).text(
            "MediaStorageSOPInstanceUID"
        )
    except Exception as error:  # pydicom's parser raises whatever it met: struct.error, EOFError, zlib.error, KeyError, ...
        message = f"the file cannot be parsed to its end ({type(error).__name__}): it is truncated or damaged"
        raise PixelDataError(message, path=instance.source, stage="read") from error
    if sop_uid != instance.sop_uid:
        raise DataError(
            "the file is another one than when it was indexed: index it again", path=instance.source
        )
    return dataset
