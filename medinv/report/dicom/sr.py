"""The findings as a structured report: TID 1500, Comprehensive 3D SR, unverified, preliminary and partial, since no person has read it."""

from collections.abc import Sequence

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from medinv.report import strings
from medinv.report.content import ImageContent
from medinv.report.dicom.common import CODING_SCHEME, MAKER, Analysis, device_uid, finding, private
from medinv.report.dicom.evidence import Regions, Segmented

_PRESENCE = Code("705057003", "SCT", "Presence")
_OPERATING_POINT = private("operating-point", "Probability from which on the model says present")
_EVIDENCE = private("evidence", "Contribution to the log-odds of the finding, sum over the region")
_THRESHOLD = private("evidence-limit", "Contribution from which on a region is segmented")


def structured_report(
    analysis: Analysis, segmented: Sequence[Segmented], earlier: Sequence[Dataset]
) -> Dataset:
    """The report over all images in scope; `earlier`: structured reports of the same study and model that this one replaces."""
    groups = [
        _study(analysis),
        *_each(analysis),
        *(group for part in segmented for group in _regions(analysis, part)),
    ]
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(analysis)),
        procedure_reported=_procedure(analysis.first),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    headers = [analysis.headers[image.sop_uid] for image in analysis.inside]
    dataset = sr.Comprehensive3DSR(
        evidence=[*headers, *(part.dataset for part in segmented)],
        content=report,
        is_complete=False,
        is_final=False,
        is_verified=False,
        previous_versions=list(earlier) or None,
        **analysis.making("sr"),
    )
    dataset.CompletionFlagDescription = strings.RESEARCH_USE
    dataset.CodingSchemeIdentificationSequence = [CODING_SCHEME]
    return dataset


def _observer(analysis: Analysis) -> sr.ObserverContext:
    model = analysis.content.model
    identity = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(analysis.sha256),
        name=model.title,
        manufacturer_name=MAKER,
        model_name=f"{MAKER} {model.name}",
        serial_number=analysis.sha256[:16],
    )
    return sr.ObserverContext(codes.DCM.Device, identity)


def _procedure(header: Dataset) -> Code:
    """What the study says was done, else imaging in general."""
    for item in header.get("ProcedureCodeSequence", ()):
        if item.get("CodeValue") and item.get("CodingSchemeDesignator") and item.get("CodeMeaning"):
            return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
    return codes.SCT.Imaging


def _algorithm(analysis: Analysis) -> sr.AlgorithmIdentification:
    model, certificate = analysis.content.model, analysis.content.reconstruction
    said = [
        strings.RESEARCH_USE,
        f"weights SHA-256 {analysis.sha256}",
        f"{MAKER} {analysis.content.medinv_version}",
    ]
    if certificate:
        said.append(
            f"features decode back to the pixels: {'exactly' if certificate.exact else 'NOT exactly'}, at {certificate.bits} bits"
        )
    return sr.AlgorithmIdentification(
        f"{MAKER} {model.name}",
        model.version,
        parameters=said,
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MAKER,
    )


def _study(analysis: Analysis) -> sr.MeasurementsAndQualitativeEvaluations:
    """The study's answer, on all images that it rests on."""
    content = analysis.content
    return _answer(
        analysis, analysis.inside, content.label, content.positive, analysis.tracking("study")
    )


def _each(analysis: Analysis) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    """Each image's own answer, where there are several."""
    images = analysis.inside if len(analysis.inside) > 1 else ()
    return [
        _answer(
            analysis,
            [image],
            image.label,
            image.positive,
            analysis.tracking("image", image.sop_uid, str(image.frame or 1)),
        )
        for image in images
    ]


def _answer(
    analysis: Analysis,
    images: Sequence[ImageContent],
    label: str | None,
    probability: float | None,
    tracking: tuple[str, str],
) -> sr.MeasurementsAndQualitativeEvaluations:
    point = analysis.content.model.operating_point
    measured = [_percent(codes.DCM.Probability, probability)] if probability is not None else []
    limit = [_percent(_OPERATING_POINT, point.threshold)] if point else []
    presence = codes.SCT.Present if label == analysis.positive else codes.SCT.Absent
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking[1], identifier=tracking[0]),
        finding_type=finding(analysis.positive),
        algorithm_id=_algorithm(analysis),
        measurements=measured + limit,
        qualitative_evaluations=[sr.QualitativeEvaluation(_PRESENCE, presence)],
        source_images=[
            _reference(analysis.headers[image.sop_uid], image.frame) for image in images
        ],
    )


def _percent(name: Code, share: float) -> sr.Measurement:
    return sr.Measurement(name, round(100 * share, 2), codes.UCUM.Percent)


def _reference(header: Dataset, frame: int | None) -> sr.SourceImageForMeasurementGroup:
    return sr.SourceImageForMeasurementGroup(
        header.SOPClassUID, header.SOPInstanceUID, None if frame is None else [frame]
    )


def _regions(
    analysis: Analysis, part: Segmented
) -> list[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """The evidence of each segmented image."""
    pairs = enumerate(zip(part.images, part.regions, strict=True), start=1)
    return [
        _region(analysis, part.dataset, frame, analysis.headers[image.sop_uid], found)
        for frame, (image, found) in pairs
    ]


def _region(
    analysis: Analysis, segmentation: Dataset, frame: int, header: Dataset, found: Regions
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    label, tracking_uid = analysis.tracking("evidence", header.SOPInstanceUID)
    source = sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID)
    segment = sr.ReferencedSegmentationFrame(
        segmentation.SOPClassUID, segmentation.SOPInstanceUID, frame, 1, source
    )
    del (
        segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    )  # a frame of a binary segmentation belongs to one segment: only one may be named
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking_uid, identifier=label),
        referenced_segment=segment,
        finding_type=private("evidence-region", "Region that speaks for the finding of a model"),
        algorithm_id=_algorithm(analysis),
        measurements=[_odds(_EVIDENCE, found.total), _odds(_THRESHOLD, found.threshold)],
    )


def _odds(name: Code, value: float) -> sr.Measurement:
    return sr.Measurement(name, round(value, 3), codes.UCUM.NoUnits)
