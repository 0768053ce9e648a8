"""Where an image lies: spacing, aspect and the affine from indices to millimetres."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medinv.data.dicom.fields import Fields

# In order of trust: in the patient, at the detector, on a film.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@dataclass(frozen=True)
class Geometry:
    """Spacing is (between rows, between columns) in mm; position and orientation as in the
    header (patient axes, L P S)."""

    spacing: tuple[float, float] | None = None
    spacing_from: str | None = None  # the element that gave it
    aspect: float = 1.0  # height of a pixel / its width
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    thickness: float | None = None

    @property
    def depth(self) -> float | None:
        """Position along the normal of the slice, mm."""
        if self.position is None or self.orientation is None:
            return None
        return float(np.dot(normal(self.orientation), self.position))


@lru_cache
def normal(orientation: tuple[float, ...]) -> np.ndarray:
    """Of a slice; do not write."""
    return np.cross(orientation[:3], orientation[3:])


def read_geometry(fields: Fields) -> Geometry:
    """From a header.

    What is absent or impossible is None (the impossible leaves a warning in `fields`).
    """
    spacing, origin = _spacing(fields)
    thickness = fields.numbers("SliceThickness", 1)
    return Geometry(
        spacing=spacing,
        spacing_from=origin,
        aspect=_aspect(fields, spacing),
        position=fields.numbers("ImagePositionPatient", 3),
        orientation=_orientation(fields),
        thickness=thickness[0] if thickness and thickness[0] > 0 else None,
    )


def _spacing(fields: Fields) -> tuple[tuple[float, float] | None, str | None]:
    for keyword in _SPACINGS:
        values = fields.numbers(keyword, 2)
        if values and min(values) > 0:
            return (values[0], values[1]), keyword
        if values:
            fields.warnings.append(f"{keyword} is not positive and was left aside")
    return None, None


def _aspect(fields: Fields, spacing: tuple[float, float] | None) -> float:
    ratio = spacing or fields.numbers("PixelAspectRatio", 2)
    if not ratio or min(ratio) <= 0:
        return 1.0
    return ratio[0] / ratio[1]


def _orientation(fields: Fields) -> tuple[float, ...] | None:
    cosines = fields.numbers("ImageOrientationPatient", 6)
    if cosines is None:
        return None
    if not _perpendicular(cosines):
        fields.warnings.append(
            "ImageOrientationPatient is no pair of perpendicular unit vectors and was left aside"
        )
        return None
    return cosines


@lru_cache
def _perpendicular(cosines: tuple[float, ...]) -> bool:
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    return (
        abs(row @ row - 1) <= 1e-2
        and abs(column @ column - 1) <= 1e-2
        and abs(row @ column) <= 1e-2
    )


def affine(geometry: Geometry) -> np.ndarray:
    """(4, 4) from (row, column, slice) indices to millimetres in R A S axes, as MONAI and NIfTI
    have them.

    DICOM PS3.3 C.7.6.2.1.1 gives L P S axes, so x and y change sign. Without position and
    orientation the indices are scaled only.
    """
    down, right = geometry.spacing or (geometry.aspect, 1.0)
    thickness = geometry.thickness or 1.0
    if geometry.orientation is None or geometry.position is None:
        return np.diag([down, right, thickness, 1.0])
    along_row, along_column = np.array(geometry.orientation[:3]), np.array(geometry.orientation[3:])
    matrix = np.eye(4)
    matrix[:3, 0] = along_column * down
    matrix[:3, 1] = along_row * right
    matrix[:3, 2] = np.cross(along_row, along_column) * thickness
    matrix[:3, 3] = geometry.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
