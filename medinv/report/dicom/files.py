"""A study's DICOM results on the disk, beside its report.

They belong into the study that was analysed, so they carry the patient's name, number and dates as its images do: the only output that does.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom import Dataset

from medinv.files import pseudonym
from medinv.files import write_whole
from medinv.data.dicom.index import Instance, open_dataset
from medinv.errors import OutputError
from medinv.report.content import StudyContent
from medinv.report.dicom.results import dicom_results
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.header import quoted
from medinv.report.pdf.document import pdf_bytes

_REPORT = "1.2.840.10008.5.1.4.1.1.88.34"  # Comprehensive 3D SR


def write_dicom_results(
    content: StudyContent, instances: Mapping[str, Instance], folder: Path
) -> list[Path]:
    """Write the results of a study with a label as `KIND-HASH.dcm` in `folder`; returns their paths.

    instances: those behind the content's images, by their `sop_uid` there. A result that stands here already is left as it is, so that one UID never
    has two contents. Results of an earlier run that are not made again are superseded: the structured report names them, their files are removed.
    Raises HeaderError, OutputError and what `open_dataset` raises.
    """
    if not content.in_scope:
        return []
    inside = {image.sop_uid for image in content.images if image.scope.in_scope}
    analysis = Analysis(
        content,
        {
            uid: quoted(open_dataset(instance))
            for uid, instance in instances.items()
            if uid in inside
        },
    )
    before = {
        path: pydicom.dcmread(path, stop_before_pixels=True)
        for path in sorted(folder.glob("*.dcm"))
    }
    earlier = [
        dataset
        for dataset in before.values()
        if dataset.SOPClassUID == _REPORT and dataset.SOPInstanceUID != analysis.instance_uid("sr")
    ]
    made = {
        _name(dataset): dataset
        for dataset in dicom_results(analysis, pdf_bytes(replace(content, seconds=None)), earlier)
    }
    for name, dataset in made.items():
        if folder / name not in before:
            _write(folder / name, dataset)
    for path in before:
        if path.name not in made:
            path.unlink()
    return [folder / name for name in made]


def _name(dataset: Dataset) -> str:
    return f"{pseudonym(dataset.SOPInstanceUID, dataset.Modality.lower())}.dcm"


def _write(path: Path, dataset: Dataset) -> None:
    stream = pydicom.filebase.DicomBytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", path=path) from error
    write_whole(path, stream.getvalue())
