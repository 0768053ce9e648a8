"""Whose fault it is that an object cannot be made: the header's, or ours.

The same objects are tried with contents that are fixed. What fails here is the header's doing, as
nothing else goes into them; what fails in a result but not here is an error of this project, and is
not called a header's.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import pm, pr, sc, seg, sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medinv.errors import HeaderError, MedinvError
from medinv.report.dicom.header import is_slice, procedure
from medinv.report.dicom.softcopy import grey_scale


@contextmanager
def blaming_headers(headers: Sequence[Dataset]) -> Iterator[None]:
    """Turn what these headers cause within the block into a HeaderError; let all else be seen."""
    try:
        yield
    except MedinvError:
        raise
    except Exception:
        try_headers(headers)
        raise


def try_headers(headers: Sequence[Dataset]) -> None:
    """Raise HeaderError, which quotes no value, where no object can be made of these headers."""
    try:
        for header in headers:
            _write(_picture(header))
            _write(_segmentation(header))
            _write(_map(header) if is_slice(header) else _annotation(header))
        _write(_report(headers))
    except Exception as error:  # whatever a damaged value made the libraries meet
        raise HeaderError(
            f"no DICOM results can be made of this header ({type(error).__name__}): "
            "it lacks or contradicts what an object of the study must quote",
            stage="dicom results",
        ) from error


def _making() -> dict[str, Any]:
    return {
        "series_instance_uid": generate_uid(),
        "series_number": 1,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": "trial",
        "manufacturer_model_name": "trial",
        "software_versions": "1",
        "device_serial_number": "1",
        "specific_character_set": "ISO_IR 192",
    }


def _write(dataset: Dataset) -> None:
    dataset.save_as(io.BytesIO(), enforce_file_format=True)


def _picture(header: Dataset) -> Dataset:
    dataset = sc.SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=np.zeros((2, 2, 3), np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **_making(),
    )
    dataset.copy_patient_and_study_information(header)
    return dataset


def _segmentation(header: Dataset) -> Dataset:
    return seg.Segmentation(
        source_images=[header],
        pixel_array=np.ones((1, header.Rows, header.Columns), bool),
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            seg.SegmentDescription(
                segment_number=1,
                segment_label="trial",
                segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
                segmented_property_type=codes.SCT.SpatialAndRelationalConcept,
                algorithm_type=seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        ],
        **_making(),
    )


def _map(header: Dataset) -> Dataset:
    """Values that place a slice are read here as numbers, as they are for the map itself."""
    cosines = np.array(header.ImageOrientationPatient, float)
    position = np.array(header.ImagePositionPatient, float)
    spacing = np.array(header.PixelSpacing, float)
    if not np.isfinite([*cosines, *position, *spacing]).all() or not (spacing > 0).all():
        raise ValueError("values that place the slice are no lengths")
    return pm.ParametricMap(
        source_images=[header],
        pixel_array=np.zeros((1, 2, 2)),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            pm.RealWorldValueMapping(
                "trial", "trial", codes.UCUM.NoUnits, (-1.0, 1.0), slope=1.0, intercept=0.0
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(0.0, 1.0)],
        pixel_measures=hd.PixelMeasuresSequence(
            spacing.tolist(), float(header.get("SliceThickness") or 1.0)
        ),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", cosines.tolist()),
        plane_positions=[hd.PlanePositionSequence("PATIENT", position.tolist())],
        **_making(),
    )


def _annotation(header: Dataset) -> Dataset:
    layer = pr.GraphicLayer("TRIAL", order=1)
    corners = np.array([(0.0, 0.0), (1.0, 1.0)])
    outline = pr.GraphicObject("POLYLINE", corners, units="PIXEL")
    shown, tables = grey_scale(header)
    return pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[shown],
        content_label="TRIAL",
        graphic_layers=[layer],
        graphic_annotations=[pr.GraphicAnnotation([header], layer, graphic_objects=[outline])],
        presentation_lut_transformation=hd.PresentationLUTTransformation("IDENTITY"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **tables,
        **_making(),
    )


def _report(headers: Sequence[Dataset]) -> Dataset:
    device = sr.DeviceObserverIdentifyingAttributes(uid=generate_uid())
    observer = sr.ObserverContext(codes.DCM.Device, device)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(), identifier="trial"),
        source_images=[
            sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
            for header in headers
        ],
    )
    return sr.Comprehensive3DSR(
        evidence=list(headers),
        content=sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=procedure(headers[0]),
            imaging_measurements=[group],
            title=codes.DCM.ImagingMeasurementReport,
        ),
        is_complete=False,
        is_final=False,
        is_verified=False,
        **_making(),
    )
