"""Evidence as DICOM images.

They are what speaks for the finding (Segmentation), the exact map over slices (Parametric Map) and
an outline on projection images (Grayscale Softcopy Presentation State). They are drawn from local
evidence where the model has it, and then only where its check held; else from the pixels' sums by
region. The evidence is an exact sum; that it lies where the disease lies is not claimed, and the
descriptions say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from highdicom import pm, pr, seg
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

from medinv.analysis.result import ImageResult
from medinv.report import strings
from medinv.report.derived import contrast, explained
from medinv.report.dicom.common import CODING_SCHEME, Analysis, drawn_map, pixel_map, private, uid
from medinv.report.dicom.header import is_slice
from medinv.report.dicom.softcopy import grey_scale

SHARE = 0.5  # of the largest region's evidence, from which on a region is segmented
_ORANGE = hd.color.CIELabColor(65.0, 35.0, 70.0)


@dataclass(frozen=True)
class Regions:
    """What speaks for the finding, on the stored image's grid."""

    mask: np.ndarray  # (rows, columns) bool
    local: bool  # of pixels of local evidence, not of regions
    threshold: float  # log-odds from which on a region (or pixel) belongs to it
    total: float  # log-odds of all together
    outlined: float  # log-odds of the largest region, or of the connected pixels around the largest
    # around these: left, top, right, bottom, in stored pixels
    box: tuple[float, float, float, float]


def regions(image: ImageResult, rows: int, columns: int) -> Regions | None:
    """What holds at least SHARE of the largest evidence for the finding, on the stored grid.

    None where nothing speaks for it or local evidence did not pass its check.
    """
    local = explained(image).local_evidence
    if local and not local.valid:
        return None
    values = _as_stored(image, drawn_map(image))
    largest = float(values.max())
    if not largest > 0:
        return None
    chosen = values >= SHARE * largest
    down, right = (
        np.arange(n) * side // n for n, side in zip((rows, columns), values.shape, strict=True)
    )
    parts = (
        ndimage.label(chosen)[0] if local else np.arange(1, values.size + 1).reshape(values.shape)
    )
    around = parts == parts.flat[values.argmax()]
    high, wide = rows / values.shape[0], columns / values.shape[1]
    (top, left), (bottom, right_) = (edge(np.argwhere(around), axis=0) for edge in (np.min, np.max))
    box = (
        float(left * wide),
        float(top * high),
        float((right_ + 1) * wide),
        float((bottom + 1) * high),
    )
    return Regions(
        chosen[np.ix_(down, right)],
        local is not None,
        SHARE * largest,
        float(values[chosen].sum()),
        float(values[around].sum()),
        box,
    )


def _as_stored(image: ImageResult, values: np.ndarray) -> np.ndarray:
    """A map (h, w) over the image as it was shown, over the stored pixels: objects lie on these."""
    return image.pixels.turn.undo(values) if image.pixels else values


@dataclass(frozen=True)
class Segmented:
    """A Segmentation with the images behind its frames, in the order of the frames."""

    dataset: Dataset
    images: tuple[ImageResult, ...]
    regions: tuple[Regions, ...]


def segmentation(analysis: Analysis, stack: Sequence[ImageResult], number: int) -> Segmented | None:
    """The regions that speak for the finding in images that were called it.

    None where there are none.
    """
    pairs = []
    for image in stack:
        head = analysis.headers[image.sop_uid]
        if (
            image.label == analysis.finding
            and (area := regions(image, head.Rows, head.Columns))
            and area.mask.any()
        ):
            pairs.append((image, area))
    if not pairs:
        return None
    images, parts = zip(*pairs, strict=True)
    headers = [analysis.headers[image.sop_uid] for image in images]
    dataset = seg.Segmentation(
        source_images=headers,
        pixel_array=np.stack([part.mask for part in parts]),
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description(analysis, stack[0])],
        content_label="EVIDENCE",
        content_description=f"Evidence for {analysis.finding[:24]}, research use"[:64],
        omit_empty_frames=False,
        **analysis.making("seg", number),
    )
    dataset.SegmentSequence[0].SegmentDescription = _words(analysis, images[0], parts)
    dataset.PatientOrientation = headers[0].get("PatientOrientation")
    order = _order(dataset, headers)
    return Segmented(
        settled(dataset, analysis), tuple(images[k] for k in order), tuple(parts[k] for k in order)
    )


def _order(dataset: Dataset, headers: Sequence[Dataset]) -> list[int]:
    """Which header stands behind each frame.

    The library sorts frames along the normal in its own direction.
    """
    if len(headers) == 1:
        return [0]
    named = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    return [[head.SOPInstanceUID for head in headers].index(uid_) for uid_ in named]


def description(analysis: Analysis, image: ImageResult) -> seg.SegmentDescription:
    """The one segment of a segmentation; `image` is the first one that it is of."""
    label, tracking_uid = analysis.tracking("evidence regions", image.sop_uid)
    return seg.SegmentDescription(
        segment_number=1,
        segment_label=f"Regions that speak for {analysis.finding}"[:64],
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=private(
            "evidence-region", "Region that speaks for the finding of a model"
        ),
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=analysis.algorithm(),
        tracking_id=label,
        tracking_uid=tracking_uid,
        display_color=_ORANGE,
    )


def _words(analysis: Analysis, image: ImageResult, parts: Sequence[Regions]) -> str:
    ground = strings.ground_of(explained(image).local_evidence, contrast(image, analysis.card))
    limits = sorted({f"{part.threshold:+.{3 if part.local else 2}f}" for part in parts})
    stated = limits[0] if len(limits) == 1 else f"{limits[0]} to {limits[-1]}, by image"
    if all(part.local for part in parts):
        return (
            "Pixels of the network's input, enlarged to the stored image, that carry at least "
            f"{stated} log-odds of {analysis.finding} each ({SHARE:.0%} of the largest of the "
            f"image), against what is expected there of {ground}. An exact sum; "
            "replacing the strongest pixels moves the answer more than the same shape elsewhere. "
            f"Not shown to be where a disease lies. {strings.RESEARCH_USE}"
        )
    return (
        "Regions of the network's input, enlarged to the stored image, whose contributions to the "
        f"log-odds of {analysis.finding} sum to at least {stated} ({SHARE:.0%} of the largest "
        "region of the image). An exact sum; not shown to be where a disease lies. "
        f"{strings.RESEARCH_USE}"
    )


def parametric_map(analysis: Analysis, stack: Sequence[ImageResult], number: int) -> Dataset | None:
    """Every network pixel's contribution over the slices of a series, exact; None for a projection.

    It lies on the network's grid laid over the stored one.
    """
    head = analysis.headers[stack[0].sop_uid]
    if not is_slice(head):
        return None
    headers = [analysis.headers[image.sop_uid] for image in stack]
    maps = np.stack([_as_stored(image, pixel_map(image)) for image in stack]).astype(np.float64)
    scale = np.array([head.Rows, head.Columns]) / maps.shape[1:]
    spacing = scale * np.array(head.PixelSpacing, float)
    size = float(np.quantile(np.abs(maps), 0.99)) or 1.0
    reach = float(np.abs(maps).max()) or 1.0
    dataset = pm.ParametricMap(
        source_images=headers,
        pixel_array=maps,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping(analysis, reach)],
        voi_lut_transformations=[
            hd.VOILUTTransformation(0.0, 2 * size, voi_lut_function="LINEAR_EXACT")
        ],
        pixel_measures=hd.PixelMeasuresSequence(spacing.tolist(), _thickness(headers)),
        plane_orientation=hd.PlaneOrientationSequence(
            "PATIENT", [float(x) for x in head.ImageOrientationPatient]
        ),
        plane_positions=[
            hd.PlanePositionSequence("PATIENT", _corner(each, scale).tolist()) for each in headers
        ],
        content_label="EVIDENCE",
        content_description=f"Evidence for {analysis.finding[:24]}, research use"[:64],
        **analysis.making("map", number),
    )
    dataset.Laterality = head.get("Laterality")
    return settled(dataset, analysis)


def mapping(analysis: Analysis, reach: float) -> pm.RealWorldValueMapping:
    """What the values of a map are, from -reach to reach."""
    return pm.RealWorldValueMapping(
        lut_label="LOG-ODDS",
        lut_explanation=f"Contribution to the log-odds of {analysis.finding[:27]}"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(-reach, reach),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.Saliency,
    )


def _thickness(headers: Sequence[Dataset]) -> float:
    """Slice thickness, mm; where no header says it, 1."""
    return float(headers[0].get("SliceThickness") or 1.0)


def _corner(header: Dataset, scale: np.ndarray) -> np.ndarray:
    """Centre of the first network pixel, mm.

    Its corner is that of the first stored pixel, whose centre the header gives.
    """
    cosines, spacing = (
        np.array(header.ImageOrientationPatient, float),
        np.array(header.PixelSpacing, float),
    )
    down, right = (scale - 1) / 2 * spacing
    return np.array(header.ImagePositionPatient, float) + right * cosines[:3] + down * cosines[3:]


def presentation_state(analysis: Analysis, image: ImageResult, number: int) -> Dataset | None:
    """The image's own grey scale with an outline of the largest evidence.

    None for slices and where nothing speaks for the finding.
    """
    head = analysis.headers[image.sop_uid]
    area = regions(image, head.Rows, head.Columns)
    if is_slice(head) or image.label != analysis.finding or area is None:
        return None
    layer = pr.GraphicLayer(
        "EVIDENCE", order=1, description=strings.RESEARCH_USE, display_color=_ORANGE
    )
    # MONOCHROME1 is shown inverted, which its presentation LUT must say (PS3.3 C.11.6).
    shape = "INVERSE" if head.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    shown, tables = grey_scale(head)
    dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[shown],
        content_label="EVIDENCE",
        content_description=f"Evidence for {analysis.finding[:24]}, research use"[:64],
        graphic_layers=[layer],
        graphic_annotations=[
            pr.GraphicAnnotation(
                [head],
                layer,
                graphic_objects=[_outline(area)],
                text_objects=[_caption(analysis, area, head)],
            )
        ],
        presentation_lut_transformation=hd.PresentationLUTTransformation(shape),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **tables,
        **analysis.making("state", number),
    )
    dataset.Laterality = head.get("Laterality")
    return settled(dataset, analysis)


def _outline(area: Regions) -> pr.GraphicObject:
    left, top, right, bottom = area.box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    return pr.GraphicObject("POLYLINE", corners, units="PIXEL")


def _caption(analysis: Analysis, area: Regions, header: Dataset) -> pr.TextObject:
    left, _, _, bottom = area.box
    box = (
        max(left - 0.1 * header.Columns, 1.0),
        bottom,
        min(left + 0.4 * header.Columns, header.Columns),
        min(bottom + 0.1 * header.Rows, header.Rows),
    )
    text = f"{area.outlined:+.2f} log-odds for {analysis.finding}. {strings.RESEARCH_USE}"
    return pr.TextObject(text, units="PIXEL", bounding_box=box)


def settled(dataset: Dataset, analysis: Analysis) -> Dataset:
    """What the library draws by lot follows from the result instead.

    The private codes say whose they are.
    """
    dimensions = uid("dimensions", dataset.SOPInstanceUID)
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, ()):
            item.DimensionOrganizationUID = dimensions
    dataset.CodingSchemeIdentificationSequence = [CODING_SCHEME]
    return dataset
