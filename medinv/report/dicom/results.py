"""All DICOM results of one study by one model."""

from collections.abc import Sequence

from pydicom import Dataset

from medinv.errors import HeaderError
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.evidence import parametric_map, presentation_state, segmentation
from medinv.report.dicom.pdf import encapsulated_pdf
from medinv.report.dicom.picture import secondary_capture
from medinv.report.dicom.sr import structured_report


def dicom_results(analysis: Analysis, pdf: bytes, earlier: Sequence[Dataset] = ()) -> list[Dataset]:
    """Structured report, picture, PDF, and where there is evidence for the finding, its segmentation, maps and annotations.

    Nothing for a study without a label: an object in the archive would look like an answer. `earlier`: structured reports of the same study and model
    that this one replaces. Raises HeaderError when the header does not allow the objects; its message quotes no value.
    """
    if not analysis.content.in_scope or not analysis.explained:
        return []
    try:
        return _objects(analysis, pdf, earlier)
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
    ) as error:  # what the DICOM libraries raise quotes values, which may name a patient
        message = f"no DICOM results can be made of this header ({type(error).__name__}): it lacks or contradicts what an object of the study must quote"
        raise HeaderError(message, stage="dicom results") from error


def _objects(analysis: Analysis, pdf: bytes, earlier: Sequence[Dataset]) -> list[Dataset]:
    stacks = analysis.stacks
    segmented = [
        part
        for k, stack in enumerate(stacks, start=1)
        if (part := segmentation(analysis, stack, k))
    ]
    maps = [
        made
        for k, stack in enumerate(stacks, start=1)
        if (made := parametric_map(analysis, stack, k))
    ]
    single = (image for image in analysis.explained if image.frame is None)
    states = [
        made
        for k, image in enumerate(single, start=1)
        if (made := presentation_state(analysis, image, k))
    ]
    report = structured_report(analysis, segmented, earlier)
    return [
        report,
        secondary_capture(analysis),
        encapsulated_pdf(analysis, pdf),
        *(part.dataset for part in segmented),
        *maps,
        *states,
    ]
