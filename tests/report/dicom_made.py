"""DICOM results of a test, written and read back."""

import io

import numpy as np
import pydicom
from made import first
from pydicom import Dataset
from scipy import ndimage

from medinv.analysis.result import StudyResult
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.results import dicom_results
from medinv.report.pdf import document


def made(analysis: Analysis, earlier: tuple[Dataset, ...] = ()) -> dict[str, Dataset]:
    """The results by modality, written and read back."""
    pdf = document.render(analysis.result, analysis.card, analysis.pictures)
    found = {}
    for dataset in dicom_results(analysis, pdf, earlier):
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        is_map = "DoubleFloatPixelData" in dataset
        found["map" if is_map else dataset.Modality] = pydicom.dcmread(stream)
    return found


def chosen(result: StudyResult) -> tuple[np.ndarray, np.ndarray, float]:
    """Network pixels that hold half the largest evidence, those around the largest, the limit."""
    values = first(result).explanation.local_evidence.locations
    mask = values >= 0.5 * values.max()
    parts, _ = ndimage.label(mask)
    return mask, parts == parts.flat[values.argmax()], 0.5 * values.max()
