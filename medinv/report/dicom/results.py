"""All DICOM results of one study."""

from collections.abc import Sequence

from pydicom import Dataset

from medinv.report.dicom.common import Analysis, is_volume
from medinv.report.dicom.evidence import parametric_map, presentation_state, segmentation
from medinv.report.dicom.pdf import encapsulated_pdf
from medinv.report.dicom.picture import secondary_capture
from medinv.report.dicom.sr import structured_report
from medinv.report.dicom.trial import blaming_headers
from medinv.report.dicom.volumes import volume_map, volume_segmentation


def dicom_results(analysis: Analysis, pdf: bytes, earlier: Sequence[Dataset] = ()) -> list[Dataset]:
    """Structured report, picture, PDF, and where there is evidence, its images.

    These are segmentation, maps and annotations of what speaks for the finding. Nothing for a study
    without a label: an object in the archive would look like an answer. earlier: structured reports
    of the same study and model that this one replaces. Raises HeaderError, which quotes no value,
    where the headers do not allow the objects.
    """
    if not analysis.result.in_scope or not analysis.explained:
        return []
    with blaming_headers(analysis.sources(analysis.inside)):
        return _objects(analysis, pdf, earlier)


def _objects(analysis: Analysis, pdf: bytes, earlier: Sequence[Dataset]) -> list[Dataset]:
    stacks = list(enumerate(analysis.stacks, start=1))
    single = [one for one in analysis.explained if one.frame is None and not is_volume(one)]
    segmented = [part for k, stack in stacks if (part := segmentation(analysis, stack, k))]
    maps = [dataset for k, stack in stacks if (dataset := parametric_map(analysis, stack, k))]
    volumes = list(enumerate(analysis.volumes, start=len(stacks) + 1))
    places = [place for k, image in volumes if (place := volume_segmentation(analysis, image, k))]
    maps += [volume_map(analysis, image, k) for k, image in volumes]
    states = [
        dataset
        for k, image in enumerate(single, start=1)
        if (dataset := presentation_state(analysis, image, k))
    ]
    return [
        structured_report(analysis, segmented, places, earlier),
        secondary_capture(analysis),
        encapsulated_pdf(analysis, pdf),
        *(part.dataset for part in segmented),
        *(place.dataset for place in places),
        *maps,
        *states,
    ]
