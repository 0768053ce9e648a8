"""A study's DICOM results on the disk, beside its report.

They belong into the study that was analysed, so they carry the patient's name, number and dates as
its images do: the only output that does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import Comprehensive3DSRStorage

from medinv.analysis.result import StudyResult
from medinv.data.dicom.index import open_dataset
from medinv.errors import HeaderError
from medinv.files import pseudonym, write_whole
from medinv.models.card import Card
from medinv.report.derived import inside, presented
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.header import Quoted, quoted
from medinv.report.dicom.results import dicom_results
from medinv.report.dicom.trial import blaming_headers
from medinv.report.figures import Pictures


@dataclass(frozen=True)
class Written:
    """What was written, and what is to be said of the headers that it quotes."""

    paths: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def write_dicom_results(
    result: StudyResult, card: Card, pictures: Pictures, pdf: bytes, folder: Path
) -> Written:
    """Write the results of a study with a label as `KIND-HASH.dcm`.

    pdf: the study's report. A result that stands here already is left as it is, so that one UID
    never has two contents. Results of an earlier run that are not made again are superseded: the
    structured report names them, their files are removed. Raises HeaderError, OutputError and what
    `open_dataset` raises.
    """
    visible = presented(result)
    if not visible.in_scope:
        return Written()
    headers = _headers(visible)
    elements = {sop_uid: header.elements for sop_uid, header in headers.items()}
    analysis = Analysis(visible, card, elements, pictures, _slices(visible))
    paths = sorted(folder.glob("*.dcm"))
    before = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in paths}
    report = analysis.instance_uid("sr")
    earlier = [
        dataset
        for dataset in before.values()
        if dataset.SOPClassUID == Comprehensive3DSRStorage and dataset.SOPInstanceUID != report
    ]
    datasets = dicom_results(analysis, pdf, earlier)
    with blaming_headers(list(analysis.headers.values())):
        files = {_name(dataset): dataset for dataset in datasets}
        new = {name: _bytes(each) for name, each in files.items() if folder / name not in before}
    for name, data in new.items():
        write_whole(folder / name, data)
    for path in before:
        if path.name not in files:
            path.unlink()
    said = dict.fromkeys(one for header in headers.values() for one in header.warnings)
    return Written(tuple(folder / name for name in files), tuple(said))


def _headers(result: StudyResult) -> Mapping[str, Quoted]:
    frames = {image.sop_uid: image.pixels for image in result.instances if inside(image)}
    other = next((one.instance for one in frames.values() if one and not one.is_dicom), None)
    if other is not None:
        raise HeaderError(
            "not a DICOM image: there is no header that DICOM results could refer to",
            path=other.source,
        )
    return {
        sop_uid: quoted(open_dataset(frame.instance)) for sop_uid, frame in frames.items() if frame
    }


def _slices(result: StudyResult) -> dict[str, tuple[Dataset, ...]]:
    """Of volumes that were read from single slices the headers of all of them."""
    return {
        image.sop_uid: tuple(quoted(open_dataset(part)).elements for part in image.pixels.parts)
        for image in result.instances
        if inside(image) and image.pixels and len(image.pixels.parts) > 1
    }


def _name(dataset: Dataset) -> str:
    return f"{pseudonym(dataset.SOPInstanceUID, dataset.Modality.lower())}.dcm"


def _bytes(dataset: Dataset) -> bytes:
    stream = DicomBytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
