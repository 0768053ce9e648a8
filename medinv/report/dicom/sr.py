"""The findings as a structured report: TID 1500, Comprehensive 3D SR.

It is unverified, preliminary and partial, since no person has read it.
"""

from collections.abc import Sequence
from typing import Any

from highdicom import sr
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from medinv.analysis.result import ImageResult, StudyResult
from medinv.report import derived, strings
from medinv.report.dicom.common import CODING_SCHEME, MAKER, Analysis, device_uid, finding, private
from medinv.report.dicom.evidence import Regions, Segmented
from medinv.report.dicom.header import procedure
from medinv.report.dicom.volumes import Place

OTHERS = 10  # classes beside the one called whose probabilities are told
_PRESENCE = Code("705057003", "SCT", "Presence")
_OPERATING_POINT = private("operating-point", "Probability from which on the model says present")
_EVIDENCE = private("evidence", "Contribution to the log-odds of the finding, sum over the region")
_THRESHOLD = private("evidence-limit", "Contribution from which on a region is segmented")


def structured_report(
    analysis: Analysis,
    segmented: Sequence[Segmented],
    places: Sequence[Place],
    earlier: Sequence[Dataset],
) -> Dataset:
    """The report over all images in scope.

    places: what was segmented of volumes. earlier: structured reports of the same study and model
    that this one replaces.
    """
    groups: list[Any] = [
        _study(analysis),
        *_each(analysis),
        *(group for part in segmented for group in _regions(analysis, part)),
        *(_place(analysis, place) for place in places),
    ]
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(analysis)),
        procedure_reported=procedure(analysis.first),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    headers = analysis.sources(analysis.inside)
    dataset = sr.Comprehensive3DSR(
        evidence=[
            *headers,
            *(part.dataset for part in segmented),
            *(place.dataset for place in places),
        ],
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
    identity = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(analysis.sha256),
        name=analysis.card.title,
        manufacturer_name=MAKER,
        model_name=f"{MAKER} {analysis.card.name}",
        serial_number=analysis.sha256[:16],
    )
    return sr.ObserverContext(codes.DCM.Device, identity)


def _algorithm(analysis: Analysis) -> sr.AlgorithmIdentification:
    card, trip = analysis.card, analysis.result.reconstruction
    said = [
        strings.RESEARCH_USE,
        f"weights SHA-256 {analysis.sha256}",
        f"{MAKER} {derived.MEDINV}",
    ]
    if trip:
        how = "exactly" if trip.exact else "NOT exactly"
        said.append(f"features decode back to the pixels: {how}, at {trip.bits} bits")
    return sr.AlgorithmIdentification(
        f"{MAKER} {card.name}",
        card.version,
        parameters=said,
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MAKER,
    )


def _study(analysis: Analysis) -> sr.MeasurementsAndQualitativeEvaluations:
    """The study's answer, on all images that it rests on."""
    return _answer(analysis, analysis.inside, analysis.result, analysis.tracking("study"))


def _each(analysis: Analysis) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    """Each image's own answer, where there are several."""
    images = analysis.inside if len(analysis.inside) > 1 else ()
    return [
        _answer(
            analysis,
            [image],
            image,
            analysis.tracking("image", image.sop_uid, str(image.frame or 1)),
        )
        for image in images
    ]


def _answer(
    analysis: Analysis,
    images: Sequence[ImageResult],
    given: StudyResult | ImageResult,
    tracking: tuple[str, str],
) -> sr.MeasurementsAndQualitativeEvaluations:
    told, point = given.answer, analysis.card.operating_point
    if told is None:
        raise ValueError(f"expected an image or study with a label, got {given.label}")
    card_classes = analysis.card.classes
    measurements = [_percent(codes.DCM.Probability, told.probability)]
    measurements += [
        _percent(private(f"class-{card_classes.index(name)}", f"Probability of {name}"[:64]), share)
        for name, share in told.others[:OTHERS]
    ]
    limit = [_percent(_OPERATING_POINT, point.threshold)] if point else []
    presence = codes.SCT.Present if given.label == told.name else codes.SCT.Absent
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking[1], identifier=tracking[0]),
        finding_type=finding(told.name),
        algorithm_id=_algorithm(analysis),
        measurements=measurements + limit,
        qualitative_evaluations=[sr.QualitativeEvaluation(_PRESENCE, presence)],
        source_images=[
            _reference(header, image.frame)
            for image in images
            for header in analysis.sources([image])
        ],
    )


def _percent(name: Code | CodedConcept, share: float) -> sr.Measurement:
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
        _region(analysis, part.dataset, frame, analysis.headers[image.sop_uid], area)
        for frame, (image, area) in pairs
    ]


def _region(
    analysis: Analysis, segmentation: Dataset, frame: int, header: Dataset, area: Regions
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    label, tracking_uid = analysis.tracking("evidence", header.SOPInstanceUID)
    source = sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID)
    segment = sr.ReferencedSegmentationFrame(
        segmentation.SOPClassUID, segmentation.SOPInstanceUID, frame, 1, source
    )
    # A frame of a binary segmentation belongs to one segment: only one of both may be named.
    del segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking_uid, identifier=label),
        referenced_segment=segment,
        finding_type=private("evidence-region", "Region that speaks for the finding of a model"),
        algorithm_id=_algorithm(analysis),
        measurements=[_odds(_EVIDENCE, area.total), _odds(_THRESHOLD, area.threshold)],
    )


def _place(
    analysis: Analysis, place: Place
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """The evidence of a volume, segmented as a whole."""
    headers = analysis.sources([place.image])
    label, tracking_uid = analysis.tracking("evidence", headers[0].SeriesInstanceUID)
    segment = sr.ReferencedSegment(
        place.dataset.SOPClassUID,
        place.dataset.SOPInstanceUID,
        1,
        source_series=sr.SourceSeriesForSegmentation(headers[0].SeriesInstanceUID),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking_uid, identifier=label),
        referenced_segment=segment,
        finding_type=private("evidence-region", "Region that speaks for the finding of a model"),
        algorithm_id=_algorithm(analysis),
        measurements=[_odds(_EVIDENCE, place.total), _odds(_THRESHOLD, place.threshold)],
    )


def _odds(name: Code | CodedConcept, value: float) -> sr.Measurement:
    return sr.Measurement(name, round(value, 3), codes.UCUM.NoUnits)
