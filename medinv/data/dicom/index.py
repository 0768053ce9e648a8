"""Which images a set of files, folders, zips and lists holds, from their headers alone."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from medinv.data.dicom import archive
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.grouping import group
from medinv.data.dicom.header import read_header
from medinv.data.dicom.patient import NOBODY, Patient, judge, read_patient
from medinv.data.dicom.records import Broken, Index, Instance, Skipped, Study
from medinv.data.dicom.repeats import Repeats, find_repeats
from medinv.data.dicom.selection import select, uid_of
from medinv.data.dicom.span import shown_by_series
from medinv.data.dicom.walk import Candidate, walk
from medinv.data.dicom.whole import read_whole
from medinv.data.nifti import is_nifti, read_nifti_header
from medinv.data.picture import is_picture, read_picture_header
from medinv.errors import DataError, MedinvError, RepeatedUidError, TwoPatientsError

__all__ = ["Broken", "Index", "Instance", "Skipped", "Study", "index", "open_dataset"]

_REPEATED = (
    "study_uid", "series_uid", "sop_class", "modality", "body_part", "view", "laterality",
    "patient_orientation", "image_type", "photometric", "transfer_syntax", "series_description",
    "study_description", "manufacturer", "echo", "b_value", "warnings", "frame_of_reference",
    "concatenation",
)  # fmt: skip
Record = Instance | Skipped | Broken


@dataclass(frozen=True)
class _Entry:
    """A file, and whose it is by its header."""

    record: Record
    patient: Patient = NOBODY


def index(
    inputs: Sequence[Path],
    *,
    limits: archive.Limits = archive.LIMITS,
    on_file: Callable[[str], None] | None = None,
) -> Index:
    """Index files, folders (recursively, whatever the names), zips (read in memory), DICOMDIRs,
    NIfTI volumes, pictures (PNG, JPEG, TIFF, WebP, whatever their names) and CSV lists of these.

    Every file handed in becomes exactly one Instance, Skipped or Broken; no single file makes this
    raise. Headers only. The order depends on the files alone: by study, then the groups of
    `grouping.group`, each along its normal. Copies of one content are skipped but for the first by
    source. All images of a study are broken where its files name two patients (TwoPatientsError),
    or where images that differ share a SOP Instance UID (RepeatedUidError). `on_file` is called
    with each source, for a progress bar.
    """
    studies: dict[str, list[_Entry]] = defaultdict(list)
    loose: list[_Entry] = []
    pairs = sorted(_entries(inputs, limits, on_file), key=lambda pair: pair[1].record.source)
    for study, entry in pairs:
        (studies[study] if study else loose).append(entry)
    images = [entry.record for _, entry in pairs if isinstance(entry.record, Instance)]
    repeats = find_repeats(images)
    named = [_study(uid, entries, repeats) for uid, entries in sorted(studies.items())]
    return Index(tuple(named + [_study(None, [entry], repeats) for entry in loose]))


def _entries(
    inputs: Sequence[Path], limits: archive.Limits, on_file: Callable[[str], None] | None
) -> Iterator[tuple[str | None, _Entry]]:
    """Each file with the study that a list puts it in, or that its header names."""
    known: dict = {}
    for file in walk(inputs, limits):
        entry = _entry(file) if isinstance(file, Candidate) else _Entry(file)
        record = entry.record
        if isinstance(record, Instance):
            _share(record, known)
        if on_file:
            on_file(record.source)
        listed = file.study if isinstance(file, Candidate) else None
        yield listed or record.study_uid, entry


def _share(instance: Instance, known: dict) -> None:
    """Let equal values of many images be one object: a series repeats most of its header, and
    memory is what a large index costs."""
    for record, names in ((instance, _REPEATED), (instance.geometry, ("spacing", "orientation"))):
        for name in names:
            value = getattr(record, name)
            object.__setattr__(record, name, known.setdefault(value, value))


def _entry(candidate: Candidate) -> _Entry:
    location, study_uid, patient = candidate.location, None, NOBODY
    try:
        if is_nifti(location):
            return _Entry(read_nifti_header(location))
        header = read_header(location, named=False)
        if header is None and is_picture(location):
            return _Entry(read_picture_header(location))
        if header is None and candidate.named:
            header = read_header(location, named=True)
        if header is None:
            return _Entry(Skipped(location.source, None, None, "not-dicom", "not DICOM"))
        patient = read_patient(header.fields)
        study_uid = uid_of(header.fields, "StudyInstanceUID", location)
        return _Entry(select(header, location, study_uid, patient), patient)
    except MedinvError as error:
        return _Entry(Broken(location.source, study_uid, error), patient)


def _study(uid: str | None, entries: list[_Entry], repeats: Repeats) -> Study:
    """Of one patient, each image once; else all its images are broken."""
    records = [_kept(entry.record, repeats) for entry in entries]
    instances = [record for record in records if isinstance(record, Instance)]
    judged = judge(entry.patient for entry in entries)
    clash = next((one.location for one in instances if one.location in repeats.clashes), None)
    broken = [record for record in records if isinstance(record, Broken)]
    if instances and (judged.conflict or clash):
        why = judged.conflict and f"the study names two patients ({judged.conflict})"
        broken += [_refused(one, why, repeats) for one in instances]
        instances = []
    ordered = [instance for one in group(instances) for instance in one.instances]
    return Study(
        uid,
        instances=tuple(shown_by_series(ordered)),
        skipped=tuple(record for record in records if isinstance(record, Skipped)),
        broken=tuple(sorted(broken, key=lambda record: record.source)),
        warnings=judged.warnings + _unproven(instances),
    )


def _kept(record: Record, repeats: Repeats) -> Record:
    if isinstance(record, Instance):
        return repeats.copies.get(record.location, record)
    return record


def _refused(instance: Instance, two_patients: str | None, repeats: Repeats) -> Broken:
    error: MedinvError
    if two_patients:
        error = TwoPatientsError(
            f"{two_patients}: none of it is read; correct the headers, or hand in one patient",
            path=instance.source,
        )
    else:
        error = repeats.clashes.get(instance.location) or RepeatedUidError(
            "images of this study that differ share one SOP Instance UID: none of it is read",
            path=instance.source,
        )
    return Broken(instance.source, instance.study_uid, error)


def _unproven(instances: Sequence[Instance]) -> tuple[str, ...]:
    """Where a list joins studies, the patient is all that shows that they belong together."""
    listed = [one for one in instances if one.format != "nifti"]
    joined = {one.study_uid or one.source for one in listed}
    if len(joined) < 2 or all(one.patient.id for one in listed):
        return ()
    return (f"the list joins {len(joined)} studies, and not every image says whose it is",)


def open_dataset(instance: Instance) -> pydicom.Dataset:
    """The whole data set of an image, in memory. It holds patient identifiers: keep them out of
    logs and results.

    Raises PixelDataError if the file cannot be parsed to its end, DataError if it is no longer the
    file that was indexed, MissingDataError or ArchiveError if it cannot be opened.
    """
    dataset = read_whole(instance)
    sop_uid = uid_of(Fields(dataset), "SOPInstanceUID", instance.location) or uid_of(
        Fields(dataset.file_meta), "MediaStorageSOPInstanceUID", instance.location
    )
    if sop_uid != instance.sop_uid:
        raise DataError(
            "the file is another one than when it was indexed: index it again", path=instance.source
        )
    return dataset
