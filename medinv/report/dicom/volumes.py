"""Evidence of a volume as DICOM: the exact map and what speaks for the finding.

Both lie on the network's grid, whose outer corners are those of the series: as many planes, rows
and columns as the network was given, in the series' frame of reference, whatever the distance of
its slices. What is claimed is what `medinv.report.dicom.evidence` claims of images.
"""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import pm, seg
from pydicom import Dataset

from medinv.analysis.result import ImageResult
from medinv.data.frame import Grid
from medinv.errors import ShapeError
from medinv.report import strings
from medinv.report.derived import contrast, explained
from medinv.report.dicom.common import Analysis, pixel_map
from medinv.report.dicom.evidence import SHARE, description, mapping, settled


@dataclass(frozen=True)
class Place:
    """A segmentation of a volume."""

    image: ImageResult
    dataset: Dataset
    total: float  # log-odds of all together
    threshold: float  # log-odds from which on a voxel belongs to it


def volume_map(analysis: Analysis, image: ImageResult, number: int) -> Dataset:
    """Every network voxel's contribution, exact; voxels out of the body's window included."""
    values = pixel_map(image).astype(np.float64)
    size = float(np.quantile(np.abs(values), 0.99)) or 1.0
    dataset = pm.ParametricMap(
        source_images=analysis.sources([image]),
        pixel_array=values,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping(analysis, float(np.abs(values).max()) or 1.0)],
        voi_lut_transformations=[
            hd.VOILUTTransformation(0.0, 2 * size, voi_lut_function="LINEAR_EXACT")
        ],
        content_label="EVIDENCE",
        content_description=f"Evidence for {analysis.finding[:24]}, research use"[:64],
        **_placed(image, values),
        **analysis.making("map", number),
    )
    dataset.Laterality = analysis.headers[image.sop_uid].get("Laterality")
    return settled(dataset, analysis)


def volume_segmentation(analysis: Analysis, image: ImageResult, number: int) -> Place | None:
    """The voxels that speak for the finding, of a volume that was called it.

    None where nothing does, and where local evidence did not pass its check.
    """
    local, values = explained(image).local_evidence, pixel_map(image)
    largest = float(values.max())
    if image.label != analysis.finding or not largest > 0 or (local and not local.valid):
        return None
    chosen, threshold = values >= SHARE * largest, SHARE * largest
    dataset = seg.Segmentation(
        source_images=analysis.sources([image]),
        pixel_array=chosen,
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description(analysis, image)],
        content_label="EVIDENCE",
        content_description=f"Evidence for {analysis.finding[:24]}, research use"[:64],
        **_placed(image, values),
        **analysis.making("seg", number),
    )
    dataset.SegmentSequence[0].SegmentDescription = _words(analysis, image, threshold)
    place = settled(dataset, analysis)
    return Place(image, place, float(values[chosen].sum()), threshold)


def _placed(image: ImageResult, values: np.ndarray) -> dict[str, Any]:
    """Where the planes of a map (slices, rows, columns) lie, in highdicom's keywords."""
    grid = _grid(image).resized(values.shape)
    steps, first = grid.affine[:3, :3], grid.affine[:3, 3]
    across, down, right = np.linalg.norm(steps, axis=0).tolist()
    cosines = [*(steps[:, 2] / right).tolist(), *(steps[:, 1] / down).tolist()]
    normal = np.cross(cosines[:3], cosines[3:])
    between = float(abs(normal @ steps[:, 0])) or across
    return {
        "pixel_measures": hd.PixelMeasuresSequence((down, right), between, between),
        "plane_orientation": hd.PlaneOrientationSequence("PATIENT", cosines),
        "plane_positions": [
            hd.PlanePositionSequence("PATIENT", (first + k * steps[:, 0]).tolist())
            for k in range(len(values))
        ],
    }


def _grid(image: ImageResult) -> Grid:
    if image.pixels is None or image.pixels.grid is None:
        raise ShapeError(f"image {image.name}: expected a volume that says where it lies")
    return image.pixels.grid


def _words(analysis: Analysis, image: ImageResult, threshold: float) -> str:
    local = explained(image).local_evidence
    ground = strings.ground_of(local, contrast(image, analysis.card))
    expected = f", against what is expected there of {ground}" if local else ""
    return (
        f"Voxels of the network's input that carry at least {threshold:+.3f} log-odds of "
        f"{analysis.finding} each ({SHARE:.0%} of the largest)"
        f"{expected}. An exact sum. Not shown to be "
        f"where a disease lies. {strings.RESEARCH_USE}"
    )
